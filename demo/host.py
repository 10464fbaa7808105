"""Finds the ComfyUI host and makes its `comfy` package importable on the CPU.

The demo imports the host at run time and holds no copy of its code.
"""
import os
import sys
from pathlib import Path

DEMO_DIR = Path(__file__).resolve().parent
_KEPT_ALIVE = []
DEFAULT_HOST = DEMO_DIR.parent / ".host" / "ComfyUI"


def host_path():
    """Folder of the ComfyUI checkout: COMFYUI_PATH, else `.host/ComfyUI`."""
    path = Path(os.environ.get("COMFYUI_PATH", DEFAULT_HOST))
    if not (path / "comfy" / "sd.py").is_file():
        raise SystemExit(f"no ComfyUI at {path}; set COMFYUI_PATH")
    return path


def _let_torchvision_import():
    """Let a CUDA build of torchvision import beside a CPU-only torch.

    Its binary then does not load and its import fails on two operators that the
    host never calls; their bare declarations are enough.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT_ALIVE.append(library)  # the declaration lives as long as this object


def use_host():
    """Put the host on sys.path and pin it to the CPU.

    The host reads `args.cpu` when model_management is first imported, so this
    has to run before any other `comfy` import.
    """
    _let_torchvision_import()
    path = str(host_path())
    if path not in sys.path:
        sys.path.insert(0, path)
    from comfy.cli_args import args

    args.cpu = True
