"""Trains the demo model: `python demo/train.py ae`, then `... unet`.

Run `python demo/text_encoder.py --out FILE` first and pass it to `unet`.
"""
import argparse
from pathlib import Path

import host
import torch
from emoji_data import fetch_package, load_captioned, load_uncaptioned

DEMO_DIR = Path(__file__).resolve().parent
VAE_FILE = DEMO_DIR / "weights" / "asdm_demo_vae.safetensors"
UNET_FILE = DEMO_DIR / "weights" / "asdm_demo_unet.safetensors"
LOG_FILE = DEMO_DIR / "training_log.jsonl"


def run_ae(options):
    """Stage 1: the autoencoder."""
    from autoencoder import save_autoencoder, train_autoencoder

    package = fetch_package(options.work_dir)
    _, captioned = load_captioned(package)
    net = train_autoencoder(captioned, load_uncaptioned(package), options.seconds, LOG_FILE,
                            start_from=options.start_from,
                            decoder_only=options.decoder_only, peak_lr=options.lr)
    save_autoencoder(net, VAE_FILE)


def run_unet(options):
    """Stage 2: the UNet, on the autoencoder's latents."""
    from diffusion import Job, train_unet
    from features import encode_captions, encode_pictures, load_text_encoder

    work_dir = Path(options.work_dir)
    captions, pictures = load_captioned(fetch_package(work_dir))
    clip = load_text_encoder(options.text_encoder)
    features = encode_captions(clip, captions, work_dir / "features.safetensors")
    latents = encode_pictures(VAE_FILE, pictures)
    print("latents", tuple(latents.shape), "mean", latents.mean().item(), "std", latents.std().item())
    train_unet(latents, features, Job(
        seconds=options.seconds, peak_lr=options.lr, batch=options.batch,
        workers=options.threads, checkpoint=work_dir / "unet.ckpt",
        weights=UNET_FILE, log=LOG_FILE))


def parse_options():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", required=True, help="scratch folder (pictures, checkpoints)")
    parser.add_argument("--threads", type=int, default=2)
    stages = parser.add_subparsers(dest="stage", required=True)
    ae = stages.add_parser("ae", help="train the autoencoder")
    ae.add_argument("--seconds", type=float, default=800)
    ae.add_argument("--start-from", help="saved autoencoder to train on")
    ae.add_argument("--decoder-only", action="store_true", help="keep the latents as they are")
    ae.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate")
    unet = stages.add_parser("unet", help="train the UNet; resumes from its checkpoint")
    unet.add_argument("--text-encoder", required=True, help="file of text_encoder.py")
    unet.add_argument("--seconds", type=float, default=4500)
    unet.add_argument("--batch", type=int, default=32)
    unet.add_argument("--lr", type=float, default=6e-4, help="peak learning rate")
    return parser.parse_args()


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    VAE_FILE.parent.mkdir(parents=True, exist_ok=True)
    host.use_host()
    {"ae": run_ae, "unet": run_unet}[options.stage](options)


if __name__ == "__main__":
    main()
