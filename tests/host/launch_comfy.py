"""Starts ComfyUI's main.py with its arguments: `launch_comfy.py COMFYUI_FOLDER [main.py's arguments]`.

A CPU torch beside a CUDA build of torchvision cannot load torchvision's compiled part, and torchvision's import then
fails on two operators that an image run never calls. Declaring them is enough. Where torchvision imports, nothing
is changed.
"""

import ctypes
import runpy
import signal
import sys
from pathlib import Path

import torch

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
MISSING_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def die_with_parent():
    """A test run that is killed must not leave its server behind. Only Linux can promise that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def declare_torchvision_operators():
    """The library that holds the declarations (they die with it), or None where torchvision imports by itself."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # what the failed import left behind
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in MISSING_OPERATORS:
        library.define(schema)
    return library


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: launch_comfy.py COMFYUI_FOLDER [main.py's arguments]")
    comfy = Path(sys.argv[1]).resolve()
    script = comfy / "main.py"
    if not script.is_file():
        sys.exit(f"no ComfyUI at {comfy}: main.py is missing")
    die_with_parent()
    library = declare_torchvision_operators()
    sys.argv = [str(script), *sys.argv[2:]]
    sys.path[0] = str(comfy)  # runpy leaves our own folder there, and ours has no business in the host
    runpy.run_path(str(script), run_name="__main__")
    del library


if __name__ == "__main__":
    main()
