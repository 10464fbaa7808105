"""Starts ComfyUI's main.py with its arguments: `launch_comfy.py COMFYUI_FOLDER [main.py's arguments]`."""

import ctypes
import runpy
import signal
import sys
from pathlib import Path

from torchvision_operators import declare_torchvision_operators

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def die_with_parent():
    """A test run that is killed must not leave its server behind. Only Linux can promise that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: launch_comfy.py COMFYUI_FOLDER [main.py's arguments]")
    comfy = Path(sys.argv[1]).resolve()
    script = comfy / "main.py"
    if not script.is_file():
        sys.exit(f"no ComfyUI at {comfy}: main.py is missing")
    die_with_parent()
    declare_torchvision_operators()
    sys.argv = [str(script), *sys.argv[2:]]
    sys.path[0] = str(comfy)  # runpy leaves our own folder there, and ours has no business in the host
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
