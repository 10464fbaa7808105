"""What the pack adds between a queued prompt and the first evaluation of a UNet, in the second run of a process: the
node, the plan of the dial, the checks of the modules and the binding of weights. Stock host and pack take turns; the
UNets are of the published structures at a narrow width, of which none of that depends on.
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import hosted, measure  # noqa: E402

PRESETS = ("sd15", "sdxl")
WIDTH, STEPS = 32, 20
LIMIT_MS = 50.0


class Reached(Exception):
    """A run came to its first evaluation, at `at` seconds."""

    def __init__(self):
        super().__init__()
        self.at = time.perf_counter()


def stop(*_, **__):
    raise Reached


def seconds_to_start(make_model) -> float:
    """From the call of `make_model()`, as a node makes its MODEL, to the first evaluation of a run of it."""
    from support import calls
    started = time.perf_counter()
    try:
        calls.sample(make_model(), "euler", steps=STEPS)
    except Reached as reached:
        return reached.at - started
    raise RuntimeError("start: expected an evaluation, got none")


def measured(pack, preset: str, rounds: int) -> dict:
    from comfy.patcher_extension import WrappersMP
    from support import models
    from support.methods import run_node
    patcher = models.make_patcher(pack, preset, WIDTH)
    engine_call = importlib.import_module(f"{pack.host.__package__}.seam").EngineCall
    forward = engine_call._forward

    def stock():
        model = patcher.clone()
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "start", stop)
        return model

    def ours():
        return run_node("ASDMFeatureInheritance", pack, patcher, {"speed": "2x"})["outputs"][0]

    def ours_stopped() -> float:
        engine_call._forward = stop
        try:
            return seconds_to_start(ours)
        finally:
            engine_call._forward = forward

    from support import calls
    calls.sample(ours(), "euler", steps=STEPS)  # the first run
    series = {"host": [], "ours": []}
    for _ in range(rounds):
        series["host"].append(1e3 * seconds_to_start(stock))
        series["ours"].append(1e3 * ours_stopped())
    medians = {name: round(statistics.median(values), 1) for name, values in series.items()}
    return {"unet": preset, **{f"{name}_ms": value for name, value in medians.items()},
            "added_ms": round(medians["ours"] - medians["host"], 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention")
    pack = hosted.load_pack()
    rows = [measured(pack, preset, options.rounds) for preset in PRESETS]
    holds = all(row["added_ms"] <= LIMIT_MS for row in rows)
    print(json.dumps({"benchmark": "start", "holds": holds, "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
