"""Files that workflows need beside the demo model: such with the names of public models, which hold no model and let
the front end find them in its lists, and a small LoRA and a small ControlNet that fit the demo model."""

import json

from comfy_server import REPO, SCRATCH
from demo_models import UNET
from tiny_models import CONTROL_NET, LORA, write_control_net, write_lora, write_no_model

PUBLIC_MODELS = REPO / "tests" / "browser" / "public_models.json"


def stand_ins() -> dict:
    """Model folder -> files, as make_base_directory takes it."""
    found = {}
    for name, about in json.loads(PUBLIC_MODELS.read_text(encoding="utf-8")).items():
        folder = SCRATCH / "models" / "stand_ins" / about["directory"]
        folder.mkdir(parents=True, exist_ok=True)
        found.setdefault(about["directory"], []).append(write_no_model(folder / name))
    found["loras"].append(write_lora(SCRATCH / "models" / LORA, UNET))
    found["controlnet"].append(write_control_net(SCRATCH / "models" / CONTROL_NET, UNET))
    return found
