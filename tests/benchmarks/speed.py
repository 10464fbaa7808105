"""The dial `speed` against its peers at equal work, on the demo model: conditions that it was not made on, one setting
of ours against the best of all settings of all peers in each (their frontier, on straight lines between its points).

The axis is multiply-accumulates, which needs no quiet machine. Closeness is the PSNR of latents over their range.
First-block cache is left out: what its skipped calls compute is not counted.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.demo_model import DemoModel, captions  # noqa: E402
from support.dial_conditions import CONDITIONS, DialCondition  # noqa: E402
from support.frontier import Point, psnr_at  # noqa: E402
from support.methods import run_node, with_method  # noqa: E402
from support.quality_settings import OURS, SETTINGS  # noqa: E402

SPEEDS = {"1.5x": 1.5, "2x": 2.0, "3x": 3.0}
MEAN_GAIN, LEAST_GAIN, WORK_MARGIN = 6.0, 1.0, 0.05
PEERS = [setting for setting in SETTINGS if setting.method not in (OURS, "first-block cache")]


class Dial:
    """Runs of one condition."""

    def __init__(self, pack, demo, condition: DialCondition, pictures: int):
        import comfy.samplers
        self._pack, self._demo, self._condition = pack, demo, condition
        self._native = pack.host.comfy_host().with_native_engine(demo.host_model)
        known = captions()
        self._prompts = [known[(61 * number + 17) % len(known)] for number in range(pictures)]
        self._seeds = list(range(21, 21 + pictures))
        steps = round(condition.steps / condition.denoise)
        schedule = comfy.samplers.KSampler(self._native, steps, torch.device("cpu"), condition.sampler,
                                           condition.scheduler).sigmas
        self._sigmas = schedule[-(condition.steps + 1):]
        self._start = None
        if condition.denoise < 1.0:
            sources = [known[(61 * number + 70) % len(known)] for number in range(pictures)]
            self._start = demo.sample(self._native, sources, [0] * pictures, "euler", 20)
        self._exact = self._sampled(self._native)
        self._calls = self._report(self._native)["native_calls"]
        self.evaluations = self._report(self._native)["evaluations"]

    def _sampled(self, model) -> torch.Tensor:
        import comfy.sample
        import comfy.samplers
        noise = self._demo.noise(self._seeds)
        positive, negative = (self._demo.conditioning(texts) for texts in (self._prompts, [""] * len(self._prompts)))
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                model, noise, self._condition.cfg, comfy.samplers.sampler_object(self._condition.sampler), self._sigmas,
                positive, negative, torch.zeros_like(noise) if self._start is None else self._start, disable_pbar=True,
                seed=self._seeds[0])

    def _report(self, model) -> dict:
        return self._pack.host.settings_of(model).reports[-1][1]

    def point(self, model) -> Point:
        """How many times less work, and how close."""
        latents, report = self._sampled(model), self._report(model)
        miss = (latents - self._exact).square().mean((1, 2, 3))
        peak = self._exact.amax((1, 2, 3)) - self._exact.amin((1, 2, 3))
        psnr = (10 * torch.log10(peak.square() / miss.clamp(min=1e-12))).mean().item()
        return Point(self._calls / (report["native_calls"] * report["mac_share"]), psnr)

    def ours(self, speed: str) -> Point:
        node = run_node("ASDMFeatureInheritance", self._pack, self._native, {"speed": speed})
        return self.point(node["outputs"][0])

    def peers(self) -> list[Point]:
        return [self.point(with_method(self._pack, self._native, setting, self.evaluations)) for setting in PEERS]


def measured(pack, demo, condition: DialCondition, pictures: int) -> list[dict]:
    dial = Dial(pack, demo, condition, pictures)
    peers = dial.peers()
    rows = []
    for name, asked in SPEEDS.items():
        ours = dial.ours(name)
        peer = psnr_at(peers, ours.speed)
        rows.append({"condition": condition.name, "speed": name, "work": round(ours.speed, 3),
                     "as_asked": abs(ours.speed / asked - 1) <= WORK_MARGIN, "psnr": round(ours.psnr, 2),
                     "peers": peer and round(peer, 2), "gain_db": peer and round(ours.psnr - peer, 2)})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2, help="of each condition, in one batch")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    demo = DemoModel(pack)
    rows = [row for condition in CONDITIONS for row in measured(pack, demo, condition, options.pictures)]
    gains = {name: [row["gain_db"] for row in rows if row["speed"] == name and row["gain_db"] is not None]
             for name in SPEEDS}
    mean = {name: round(sum(found) / len(found), 2) for name, found in gains.items()}
    least = {name: min(found) for name, found in gains.items()}
    holds = (min(mean.values()) >= MEAN_GAIN and min(least.values()) >= LEAST_GAIN
             and all(row["as_asked"] for row in rows))
    print(json.dumps({"benchmark": "speed", "pictures": options.pictures, "conditions": len(CONDITIONS), "holds": holds,
                      "mean_gain_db": mean, "least_gain_db": least, "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
