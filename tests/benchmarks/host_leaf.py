"""What it costs that the host's own module computes a leaf: from the end of one such leaf to the start of the next, in
the engine and in the host's forward. In both nothing lies between the three projections of an attention.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import calls, hosted, measure, models  # noqa: E402

LIMIT_S = 20e-6
BLOCKS = ("input_blocks.4", "input_blocks.5", "output_blocks.6")  # too few to give the host all layers
PROJECTIONS = ("to_q", "to_k", "to_v")


class Clock:
    """When the projections of an attention began and ended."""

    def __init__(self):
        self.times = []

    def gaps(self) -> list[float]:
        """Seconds between the three of each attention."""
        found = []
        for first in range(0, len(self.times), len(PROJECTIONS)):
            attention = self.times[first:first + len(PROJECTIONS)]
            found += [began - ended for (_, ended), (began, _) in zip(attention, attention[1:], strict=False)]
        self.times.clear()
        return found


def made_foreign(diffusion_model, clock: Clock) -> int:
    """Gives the projections of the self attentions in BLOCKS a class that the engine does not know; how many."""
    def foreign(known):
        class Foreign(known):
            def forward(self, *args, **kwargs):
                began = time.perf_counter()
                result = super().forward(*args, **kwargs)
                clock.times.append((began, time.perf_counter()))
                return result
        return Foreign

    leaves = [module for name, module in diffusion_model.named_modules()
              if name.startswith(BLOCKS) and ".attn1." in name and name.endswith(PROJECTIONS)]
    for leaf in leaves:
        leaf.__class__ = foreign(type(leaf))
    return len(leaves)


def measured(pack, rounds: int) -> dict:
    """Medians over all gaps of `rounds` calls each, in turns."""
    host = models.make_patcher(pack, "sd15", 64)
    clock = Clock()
    leaves = made_foreign(host.model.diffusion_model, clock)
    native = pack.host.comfy_host().with_native_engine(host)
    inputs = models.random_inputs(host, batch=1)
    calls.load(host)
    gaps = {"host": [], "native": []}
    for turn in range(rounds + 1):
        for name, patcher in (("host", host), ("native", native)):
            calls.forward(patcher, inputs)
            found = clock.gaps()
            if len(found) != leaves * (len(PROJECTIONS) - 1) // len(PROJECTIONS):
                raise RuntimeError(f"host_leaf: expected each of {leaves} leaves once a call of {name}, got "
                                   f"{len(found)} gaps between them")
            if turn:
                gaps[name] += found
    return {"leaves": leaves, **{f"{name}_s": statistics.median(found) for name, found in gaps.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    result = measured(hosted.load_pack(), options.rounds)
    over = result["native_s"] - result["host_s"]
    print(json.dumps({"benchmark": "host_leaf", "rounds": options.rounds, "holds": over <= LIMIT_S,
                      "limit_s": LIMIT_S, "over_host_s": over, **result, "machine": measure.machine()}))
    return 0 if over <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
