"""Trains the demo model: `python demo/train.py ae`, then `... unet`.

Run `python demo/text_encoder.py --out FILE` first and pass it to `unet`.
"""
import argparse
from pathlib import Path

import host
import torch
from drawings import load_drawings
from emoji_data import fetch_package, load_captioned, load_uncaptioned
from scenes import AUTOENCODER_SCENES, paint_pictures

DEMO_DIR = Path(__file__).resolve().parent
VAE_FILE = DEMO_DIR / "weights" / "asdm_demo_vae.safetensors"
UNET_FILE = DEMO_DIR / "weights" / "asdm_demo_unet.safetensors"
LOG_FILE = DEMO_DIR / "training_log.jsonl"
PROBE_SCENES = 128  # of the autoencoder's, for its PSNR and the statistics of its latents


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

    work_dir = options.work_dir
    captions, pictures = load_captioned(fetch_package(work_dir))
    clip = load_text_encoder(options.text_encoder)
    features = encode_captions(clip, captions, work_dir / "features.safetensors")
    latents = encode_pictures(VAE_FILE, pictures)
    print("latents", tuple(latents.shape), "mean", latents.mean().item(), "std", latents.std().item())
    train_unet(latents, features, Job(
        seconds=options.seconds, peak_lr=options.lr, batch=options.batch,
        workers=options.threads, checkpoint=work_dir / "unet.ckpt",
        weights=UNET_FILE, log=LOG_FILE))


def run_scene_ae(options):
    """Stage 1 of the model of scenes: the autoencoder, which resumes from its checkpoint."""
    from autoencoder import SCENE_PHASES, save_autoencoder, train_autoencoder

    drawings = load_drawings(options.work_dir)
    pictures = paint_pictures(drawings, AUTOENCODER_SCENES, options.scenes)
    probe, others = pictures.split([PROBE_SCENES, len(pictures) - PROBE_SCENES])
    net = train_autoencoder(probe, others, options.seconds, options.work_dir / "scene_log.jsonl",
                            start_from=options.start_from, decoder_only=options.decoder_only, peak_lr=options.lr,
                            own_share=0.0, phases=SCENE_PHASES,
                            carrying=True, checkpoint=options.work_dir / options.checkpoint)
    save_autoencoder(net, options.work_dir / "scene_vae.safetensors")


def run_scene_unet(options):
    """Stage 2 of the model of scenes: the UNet, on latents of scenes painted as it goes."""
    import comfy.ldm.modules.attention
    from diffusion import plain_attention
    from features import Encoder, encode_prompts, load_text_encoder
    from scene_captions import Captions
    from scene_pool import ScenePool
    from scene_training import POOL, SceneJob, train_scene_unet

    comfy.ldm.modules.attention.optimized_attention = plain_attention
    job = SceneJob(steps=options.steps, peak_lr=options.lr, batch=options.batch, work_dir=options.work_dir,
                   text_encoder=options.text_encoder, start_from=options.start_from, compiled=options.compile)
    drawings = load_drawings(job.work_dir)
    captions = Captions(list(drawings))
    features = encode_prompts(load_text_encoder(job.text_encoder), captions.prompts,
                              job.work_dir / "scene_features.safetensors")
    train_scene_unet(ScenePool(drawings, captions, Encoder(job.vae), POOL), features, job)


def run_scene_classifier(options):
    """The judge of the model of scenes, trained on what was painted."""
    from features import Encoder
    from scene_classifier import save_classifier, train_classifier

    drawings = load_drawings(options.work_dir)
    net = train_classifier(drawings, Encoder(options.work_dir / "scene_vae.safetensors").give_back, options.batches,
                           options.work_dir / "scene_log.jsonl")
    save_classifier(net, list(drawings), options.work_dir / "scene_classifier.safetensors")


def add_ae_options(stage):
    """What both autoencoders are told."""
    stage.add_argument("--seconds", type=float, default=800)
    stage.add_argument("--start-from", help="saved autoencoder to train on")
    stage.add_argument("--decoder-only", action="store_true", help="keep the latents as they are")
    stage.add_argument("--lr", type=float, default=1.5e-3, help="peak learning rate")


def parse_options():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", required=True, type=Path, help="scratch folder (pictures, checkpoints)")
    parser.add_argument("--threads", type=int, default=2)
    stages = parser.add_subparsers(dest="stage", required=True)
    ae = stages.add_parser("ae", help="train the autoencoder")
    add_ae_options(ae)
    scene_ae = stages.add_parser("scene-ae", help="train the autoencoder of the model of scenes")
    add_ae_options(scene_ae)
    scene_ae.add_argument("--scenes", type=int, default=4096, help="how many scenes to paint")
    scene_ae.add_argument("--checkpoint", default="scene_ae.ckpt", help="name in the work dir; one for each run")
    unet = stages.add_parser("unet", help="train the UNet; resumes from its checkpoint")
    unet.add_argument("--text-encoder", required=True, help="file of text_encoder.py")
    unet.add_argument("--seconds", type=float, default=4500)
    unet.add_argument("--batch", type=int, default=32)
    unet.add_argument("--lr", type=float, default=6e-4, help="peak learning rate")
    scene_unet = stages.add_parser("scene-unet", help="train the UNet of the model of scenes; resumes")
    scene_unet.add_argument("--text-encoder", required=True, type=Path, help="file of text_encoder.py")
    scene_unet.add_argument("--start-from", type=Path, help="saved UNet whose weights to begin with")
    scene_unet.add_argument("--steps", type=int, default=20000)
    scene_unet.add_argument("--batch", type=int, default=16)
    scene_unet.add_argument("--lr", type=float, default=8e-4, help="peak learning rate")
    scene_unet.add_argument("--compile", action="store_true", help="compile the net first, which takes minutes")
    classifier = stages.add_parser("scene-classifier", help="train the classifier that judges the model of scenes")
    classifier.add_argument("--batches", type=int, default=1500)
    return parser.parse_args()


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    VAE_FILE.parent.mkdir(parents=True, exist_ok=True)
    host.use_host()
    {"ae": run_ae, "unet": run_unet, "scene-ae": run_scene_ae, "scene-unet": run_scene_unet,
     "scene-classifier": run_scene_classifier}[options.stage](options)


if __name__ == "__main__":
    main()
