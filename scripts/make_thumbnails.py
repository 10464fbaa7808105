"""Writes workflows/NAME.jpg, what ComfyUI's template gallery shows, from pictures that the workflows' own runs made.

python tests/host/with_server.py thumbnails python scripts/make_thumbnails.py
"""

import io
import json
import os
import sys
from pathlib import Path

from PIL import Image

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "host"))

from comfy_client import ComfyClient  # noqa: E402

WORKFLOWS = REPO / "workflows"
SIZE = 384
# The swap-in workflow needs a checkpoint that the repository does not hold, so it shows what the demo model makes.
SOURCES = {
    "asdm_demo_text_to_image": "asdm_demo_text_to_image",
    "asdm_demo_image_to_image": "asdm_demo_image_to_image",
    "asdm_demo_record_and_replay": "asdm_demo_record_and_replay",
    "asdm_demo_calibrate_plan": "asdm_demo_calibrate_plan",
    "asdm_demo_switch_unets": "asdm_demo_switch_unets",
    "asdm_swap_in_sd15": "asdm_demo_text_to_image",
}


def run_workflow(client, name):
    """The picture that the workflow's SaveImage node makes."""
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    run = client.run(prompt)
    if run.status != "success":
        raise SystemExit(f"{name} failed: {run.error.get('exception_message')}")
    save_id = next(key for key, node in prompt.items() if node["class_type"] == "SaveImage")
    return Image.open(io.BytesIO(client.images(run, save_id)[0])).convert("RGB")


def main():
    client = ComfyClient(os.environ["ASDM_SERVER"])
    pictures = {source: run_workflow(client, source) for source in set(SOURCES.values())}
    for name, source in SOURCES.items():
        thumbnail = pictures[source].resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        thumbnail.save(WORKFLOWS / f"{name}.jpg", quality=85, optimize=True)
        print(f"workflows/{name}.jpg")


if __name__ == "__main__":
    main()
