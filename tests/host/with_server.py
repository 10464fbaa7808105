"""Runs a command beside a real ComfyUI server: `with_server.py BASE_NAME COMMAND...`.

The server has the pack, the demo model, files with the names of the public models that workflows ask for, and the
host's own picture to begin with; the command finds its address in ASDM_SERVER and its base directory in
ASDM_BASE_DIRECTORY. The exit status is the command's.
"""

import os
import shutil
import signal
import subprocess
import sys

from comfy_server import ComfyServer, comfy_folder, make_base_directory
from demo_models import demo_models
from stand_ins import stand_ins


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: with_server.py BASE_NAME COMMAND...")
    name, *command = sys.argv[1:]
    # A killed runner must not leave its server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    models = demo_models()
    for folder, files in stand_ins().items():
        models[folder] = [*models.get(folder, []), *files]
    base = make_base_directory(name, models)
    shutil.copy(comfy_folder() / "input" / "example.png", base / "input")
    # As many run it: what a front end shows of a run stands beside previews of its latents.
    with ComfyServer(base, flags=("--preview-method", "auto")) as server:
        environment = {**os.environ, "ASDM_SERVER": server.address, "ASDM_BASE_DIRECTORY": str(base)}
        result = subprocess.run(command, env=environment)
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
