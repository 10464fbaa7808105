"""Samples the demo model through the host's own samplers and draws a sheet.

`python demo/sample.py --text-encoder FILE` writes demo/samples.png: euler, normal
schedule, one picture a prompt, with the prompt under each.
"""
import argparse
from pathlib import Path

import host
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file

DEMO_DIR = Path(__file__).resolve().parent
SIZE, GAP, LABEL = 128, 6, 16  # px


def load_models(unet, vae, text_encoder):
    """The three parts as the host's objects: (model, vae, clip)."""
    import comfy.sd
    from features import load_text_encoder
    from unet import load_host_model

    return load_host_model(unet), comfy.sd.VAE(sd=load_file(str(vae))), load_text_encoder(text_encoder)


def sample(models, prompts, options):
    """Pictures [N, SIZE, SIZE, 3] in [0, 1], all from the same seed."""
    import comfy.sample
    from features import encode_prompt

    model, vae, clip = models
    negative = encode_prompt(clip, "")
    pictures = []
    for prompt in prompts:
        latent = torch.zeros(1, 4, SIZE // 8, SIZE // 8)
        noise = comfy.sample.prepare_noise(latent, options.seed)
        latent = comfy.sample.sample(
            model, noise, options.steps, options.cfg, options.sampler, options.scheduler,
            encode_prompt(clip, prompt), negative, latent, disable_pbar=True, seed=options.seed)
        with torch.inference_mode():  # or each picture would keep the graph that made it
            pictures.append(vae.decode(latent)[0])
    return torch.stack(pictures)


def draw_sheet(pictures, prompts, columns):
    """One PIL picture with all samples and their prompts."""
    rows = -(-len(prompts) // columns)
    cell_w, cell_h = SIZE + GAP, SIZE + LABEL + GAP
    sheet = Image.new("RGB", (columns * cell_w + GAP, rows * cell_h + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        left, top = GAP + i % columns * cell_w, GAP + i // columns * cell_h
        pixels = (picture.clamp(0, 1) * 255).round().byte().numpy()
        sheet.paste(Image.fromarray(pixels), (left, top))
        draw.text((left + SIZE // 2, top + SIZE + 2), prompt, fill="black", anchor="ma")
    return sheet


def parse_options():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text-encoder", required=True, help="file of text_encoder.py")
    parser.add_argument("--unet", default=DEMO_DIR / "weights" / "asdm_demo_unet.safetensors")
    parser.add_argument("--vae", default=DEMO_DIR / "weights" / "asdm_demo_vae.safetensors")
    parser.add_argument("--out", default=DEMO_DIR / "samples.png")
    parser.add_argument("--prompts", nargs="*", help="default: captions of captions.txt, see --every")
    parser.add_argument("--every", type=int, default=4, help="take one caption in so many")
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--scheduler", default="normal")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    host.use_host()
    captions = (DEMO_DIR / "captions.txt").read_text(encoding="utf-8").splitlines()
    prompts = options.prompts or captions[:: options.every]
    models = load_models(options.unet, options.vae, options.text_encoder)
    pictures = sample(models, prompts, options)
    draw_sheet(pictures, prompts, min(options.columns, len(prompts))).save(options.out)


if __name__ == "__main__":
    main()
