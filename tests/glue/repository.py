"""Where the repository is, and the host that it is tried on."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HOST = Path(os.environ.get("COMFYUI_PATH") or REPO / ".host" / "ComfyUI")
