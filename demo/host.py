"""Finds the ComfyUI host and makes its `comfy` package importable on the CPU.

The demo imports the host at run time and holds no copy of its code.
"""
import os
import sys
from pathlib import Path

DEMO_DIR = Path(__file__).resolve().parent
DEFAULT_HOST = DEMO_DIR.parent / ".host" / "ComfyUI"


def host_path():
    """Folder of the ComfyUI checkout: COMFYUI_PATH, else `.host/ComfyUI`."""
    path = Path(os.environ.get("COMFYUI_PATH") or DEFAULT_HOST)
    if not (path / "comfy" / "sd.py").is_file():
        raise SystemExit(f"no ComfyUI at {path}; set COMFYUI_PATH")
    return path


def use_host():
    """Put the host on sys.path and pin it to the CPU.

    The host reads `args.cpu` when model_management is first imported, so this
    has to run before any other `comfy` import.
    """
    # The servers of the tests and the demo need the same; it lies with them.
    sys.path.append(str(DEMO_DIR.parent / "tests" / "host"))
    from torchvision_operators import declare_torchvision_operators

    declare_torchvision_operators()
    path = str(host_path())
    if path not in sys.path:
        sys.path.insert(0, path)
    from comfy.cli_args import args

    args.cpu = True
