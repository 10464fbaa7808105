"""The demo model's files, by the ComfyUI model folder they belong in."""

import os
import subprocess
import sys

from comfy_server import REPO, SCRATCH, comfy_folder

WEIGHTS = REPO / "demo" / "weights"
UNET = WEIGHTS / "asdm_demo_unet.safetensors"
SMALL_UNETS = [WEIGHTS / "asdm_demo_s0_s1.safetensors", WEIGHTS / "asdm_demo_s0_s1_me_cond_conv.safetensors"]
VAE = WEIGHTS / "asdm_demo_vae.safetensors"
TEXT_ENCODER_SOURCE = REPO / "demo" / "text_encoder.py"
TEXT_ENCODER = SCRATCH / "models" / "asdm_demo_text_encoder.safetensors"


def make_text_encoder():
    """Generates the text encoder, which the repository holds as a recipe, when the recipe is newer than the file."""
    if TEXT_ENCODER.is_file() and TEXT_ENCODER.stat().st_mtime > TEXT_ENCODER_SOURCE.stat().st_mtime:
        return
    TEXT_ENCODER.parent.mkdir(parents=True, exist_ok=True)
    unfinished = TEXT_ENCODER.with_suffix(".unfinished")
    python = os.environ.get("PYTHON") or sys.executable
    command = [python, str(TEXT_ENCODER_SOURCE), "--out", str(unfinished)]
    subprocess.run(command, check=True, env={**os.environ, "COMFYUI_PATH": str(comfy_folder())})
    unfinished.rename(TEXT_ENCODER)


def demo_models():
    """Model folder -> files, as make_base_directory takes it; says which file is missing."""
    missing = [str(path.relative_to(REPO)) for path in (UNET, *SMALL_UNETS, VAE) if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"the demo model is incomplete, missing: {', '.join(missing)}")
    make_text_encoder()
    return {"diffusion_models": [UNET, *SMALL_UNETS], "vae": [VAE], "text_encoders": [TEXT_ENCODER], "loras": [],
            "checkpoints": []}
