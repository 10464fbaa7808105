"""Draws training_log.png from training_log.jsonl."""
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from training_log import read_log  # noqa: E402

DEMO_DIR = Path(__file__).resolve().parent


def main():
    records = read_log(DEMO_DIR / "training_log.jsonl")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for stage, label in (("ae", "first run"), ("ae_more", "second run"), ("ae_decoder", "decoder only")):
        rows = [r for r in records if r["stage"] == stage]
        if rows:
            left.plot([r["seconds"] for r in rows], [r["psnr"] for r in rows], marker=".", label=label)
    left.set(title="Autoencoder", xlabel="seconds of work in the run", ylabel="PSNR, dB")
    left.legend()
    rows = [r for r in records if r["stage"] == "unet"]
    right.plot([r["step"] for r in rows], [r["loss"] for r in rows])
    right.set(title="UNet", xlabel="step", ylabel="epsilon MSE", yscale="log")
    figure.tight_layout()
    figure.savefig(DEMO_DIR / "training_log.png", dpi=80)


if __name__ == "__main__":
    main()
