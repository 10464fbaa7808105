"""Draws docs/showcase.png, the README's first picture: pictures of the demo model from one seed each, by the stock host
and at each speed of the dial, with the work that was measured and how close they are.

    showcase.py [--speeds 1.5x 2x 3x]
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.demo_model import DemoModel  # noqa: E402
from support.methods import run_node  # noqa: E402
from support.scores import scores  # noqa: E402

PICTURE = hosted.ROOT / "docs" / "showcase.png"
PROMPTS = ("strawberry", "dog face")
SEED, STEPS, SAMPLER = 7, 20, "euler"
SIDE, GAP, HEAD = 192, 8, 52  # pixels


class Showcase:
    def __init__(self, pack):
        self._pack = pack
        self._demo = DemoModel(pack)
        self._native = self._pack.host.comfy_host().with_native_engine(self._demo.host_model)

    def stock(self) -> torch.Tensor:
        """Pictures [prompts, height, width, 3] in 0..1."""
        return self._pictures(self._demo.host_model)

    def at(self, speed: str) -> tuple[torch.Tensor, float]:
        """Pictures, and how many times less work they were."""
        model = run_node("ASDMFeatureInheritance", self._pack, self._native, {"speed": speed})["outputs"][0]
        pictures = self._pictures(model)
        report = self._pack.host.settings_of(model).reports[-1][1]
        return pictures, report["evaluations"] / (report["native_calls"] * report["mac_share"])

    def _pictures(self, model) -> torch.Tensor:
        seeds = [SEED + number for number in range(len(PROMPTS))]
        return self._demo.decode(self._demo.sample(model, list(PROMPTS), seeds, SAMPLER, STEPS)).clamp(0, 1)


def drawn(columns: list[tuple[list[str], torch.Tensor]], drawing) -> Image.Image:
    """A column each: lines of text, and pictures below."""
    picture, draw = drawing.blank(len(columns) * (SIDE + GAP) + GAP, HEAD + len(PROMPTS) * (SIDE + GAP))
    for number, (lines, pictures) in enumerate(columns):
        left = GAP + number * (SIDE + GAP)
        for line, text in enumerate(lines):
            drawing.write(draw, left + SIDE / 2, 16 + 20 * line, text, anchor="mm")
        for row, one in enumerate(pictures):
            shown = Image.fromarray((one * 255).round().to(torch.uint8).numpy())
            picture.paste(shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, HEAD + row * (SIDE + GAP)))
    return picture


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speeds", nargs="+", default=["1.5x", "2x", "3x"], metavar="SPEED")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    showcase = Showcase(pack)
    stock = showcase.stock()
    columns, rows = [(["stock ComfyUI", f"{STEPS} steps"], stock)], []
    for speed in options.speeds:
        pictures, work = showcase.at(speed)
        psnr = mean(psnr for psnr, _ in scores(pack, stock, pictures))
        rows.append({"speed": speed, "work": round(work, 2), "psnr": round(psnr, 1)})
        columns.append(([f"speed {speed}", f"{work:.1f} times less work, {rows[-1]['psnr']:.0f} dB"], pictures))
    drawn(columns, pack.drawing).save(PICTURE, optimize=True)
    print(json.dumps({"benchmark": "showcase", "rows": rows, "machine": measure.machine()}))


if __name__ == "__main__":
    main()
