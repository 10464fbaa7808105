"""Runs a command beside a real ComfyUI server: `with_server.py BASE_NAME COMMAND...`.

The server has the pack and the demo model; the command finds its address in ASDM_SERVER and its base directory in
ASDM_BASE_DIRECTORY. The exit status is the command's.
"""

import os
import signal
import subprocess
import sys

from comfy_server import ComfyServer, make_base_directory
from demo_models import demo_models


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: with_server.py BASE_NAME COMMAND...")
    name, *command = sys.argv[1:]
    # A killed runner must not leave its server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = make_base_directory(name, demo_models())
    # As many run it: what a front end shows of a run stands beside previews of its latents.
    with ComfyServer(base, flags=("--preview-method", "auto")) as server:
        environment = {**os.environ, "ASDM_SERVER": server.address, "ASDM_BASE_DIRECTORY": str(base)}
        result = subprocess.run(command, env=environment)
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
