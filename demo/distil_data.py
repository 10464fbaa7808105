"""Writes what the shipped small UNets are distilled on: latents and text features of the captioned pictures.

Run `python demo/text_encoder.py --out FILE` first.
"""
import argparse
from pathlib import Path

import host
import torch
from emoji_data import fetch_package, load_captioned
from safetensors.torch import save_file

VAE_FILE = Path(__file__).resolve().parent / "weights" / "asdm_demo_vae.safetensors"
WORDINGS = (0, 0, 0, 1, 2)  # three times as often in the plain wording as in either other one


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", required=True, type=Path, help="scratch folder")
    parser.add_argument("--text-encoder", required=True, help="file of text_encoder.py")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    host.use_host()
    from features import encode_captions, encode_pictures, load_text_encoder

    captions, pictures = load_captioned(fetch_package(options.work_dir))
    clip = load_text_encoder(options.text_encoder)
    context = encode_captions(clip, captions, options.work_dir / "features.safetensors")
    count = len(captions)
    # Row 0 is the empty prompt; then all captions in the first wording, and so on.
    rows = torch.stack([1 + wording * count + torch.arange(count) for wording in WORDINGS], dim=1)
    latents = encode_pictures(VAE_FILE, pictures)
    save_file({"latents": latents.contiguous(), "context": context, "rows": rows}, options.out, metadata={"empty": "0"})


if __name__ == "__main__":
    main()
