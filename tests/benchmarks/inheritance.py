"""Feature inheritance against the native engine without it: 20 steps euler, interval 3, SD1.5 in its published width
at 64x64 with cond and uncond; at block level the cut out.8, at layer level every SpatialTransformer. Measured speed is
held against what the live multiply-accumulates predict. Also: interval 1 is the native result bit for bit, and, on a
CPU, what the bookkeeping costs.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, calls, hosted, measure, models  # noqa: E402
from support.evaluation_clock import EvaluationClock  # noqa: E402
from support.inheriting import SETTINGS  # noqa: E402

LEVELS = {"block": SETTINGS, "layer": {**SETTINGS, "level": "layer", "sites": "transformers"}}
SPEEDUP_FLOOR = 1.5  # at block level
PREDICTION_MARGIN = 0.1
BOOKKEEPING_LIMIT = 0.01
STEPS = 20


def run_once(patcher, steps: int, size: int) -> tuple[torch.Tensor, dict]:
    """The latent and the report of one run."""
    latent = calls.sample(patcher, "euler", steps=steps, height=size, width=size)
    reports = patcher.get_attachment("asdm").reports
    return latent, reports[-1][1]


def measure_speed(clock: EvaluationClock, native, inheriting: dict, rounds: int, size: int) -> dict:
    """By level, from the seconds of the evaluations in whole runs that take turns, since sampler and text are the same
    for all."""
    seconds, reports = {name: [] for name in ("native", *inheriting)}, {}
    for number in range(-1, rounds):  # one round is for caches and graphs, and does not count
        for name, patcher in (("native", native), *inheriting.items()):
            (_, report), taken = clock.timed(lambda patcher=patcher: run_once(patcher, STEPS, size))
            if number < 0:
                continue
            seconds[name].append(taken)
            reports[name] = report
            print(json.dumps({"run": name, "seconds": taken, "full": report["full"], "inherited": report["inherited"],
                              "mac_share": report["mac_share"]}), flush=True)
    found = {}
    for level in inheriting:
        report = reports[level]
        speedup = 1.0 / measure.median_ratio(seconds[level], seconds["native"])
        found[level] = {"speedup": speedup, "predicted_speedup": 1.0 / report["mac_share"],
                        "measured_over_predicted": speedup * report["mac_share"], "mac_share": report["mac_share"],
                        "full": report["full"], "inherited": report["inherited"], "cache_bytes": report["cache_bytes"],
                        "native": measure.summary(seconds["native"]), "inheriting": measure.summary(seconds[level])}
    return found


def measure_bookkeeping(pack, inheriting, size: int) -> dict:
    """Share of a full native forward that goes to keys, decisions and copies of features, by timing each call of the
    engine inside each call of the seam, and the copies themselves."""
    forward = pack.seam.EngineCall._forward
    inner, outer = [], []

    def timed(function, times):
        def call(*args, **kwargs):
            started = time.perf_counter()
            result = function(*args, **kwargs)
            times.append(time.perf_counter() - started)
            return result
        return call

    seam_call = pack.seam.EngineForward.__call__
    pack.seam.EngineCall._forward = timed(forward, inner)
    pack.seam.EngineForward.__call__ = timed(seam_call, outer)
    try:
        run_once(inheriting, 4, size)
    finally:
        pack.seam.EngineCall._forward = forward
        pack.seam.EngineForward.__call__ = seam_call
    feature = torch.randn(2, 640, size, size)
    started = time.perf_counter()
    torch.cat(list(feature.clone().chunk(2)))
    copies = time.perf_counter() - started
    # The first call resolves the weights, once per run; the others show what each call costs.
    around = statistics.median(o - i for o, i in zip(outer[1:], inner[1:], strict=True))
    return {"bookkeeping_s": around + copies, "forward_s": max(inner[1:]),
            "bookkeeping_share": (around + copies) / max(inner[1:]), "resolve_weights_s": outer[0] - inner[0]}


def interval_one_is_exact(pack, size: int) -> bool:
    """Reduced width: exactness does not depend on it."""
    host = pack.host.comfy_host()
    patcher = models.make_patcher(pack, "sd15", 32)
    native = host.with_native_engine(patcher)
    every = host.with_inheritance(native, pack.request({**SETTINGS, "interval": 1}))
    third = host.with_inheritance(native, pack.request(SETTINGS))
    run_once(native, STEPS, size)  # the host computes sigmas where the model lies, which a GPU rounds in its own way
    reference, changed, exact = (run_once(one, STEPS, size)[0] for one in (native, third, every))
    return torch.equal(reference, exact) and not torch.equal(reference, changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    arguments.add_device(parser)
    arguments.add_dtype(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="latent height and width")
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    pack = hosted.load_pack()
    exact = interval_one_is_exact(pack, 16)
    host, clock = pack.host.comfy_host(), EvaluationClock()
    model = clock.add_to(models.make_patcher(pack, "sd15", 0, arguments.DTYPES[options.dtype]))
    native = host.with_native_engine(model)
    inheriting = {level: host.with_inheritance(native, pack.request(settings)) for level, settings in LEVELS.items()}
    levels = measure_speed(clock, native, inheriting, options.rounds, options.size)
    result = {**levels["block"], "layer": levels["layer"]}
    if options.device == "cpu":
        result |= measure_bookkeeping(pack, inheriting["block"], options.size)
    as_predicted = all(abs(level["measured_over_predicted"] - 1.0) <= PREDICTION_MARGIN for level in levels.values())
    holds = (exact and as_predicted and result["speedup"] >= SPEEDUP_FLOOR
             and result.get("bookkeeping_share", 0.0) < BOOKKEEPING_LIMIT)
    print(json.dumps({"benchmark": "inheritance", "model": "sd15", "device": options.device, "dtype": options.dtype,
                      "steps": STEPS, "latent": [options.size] * 2, "settings": LEVELS, "interval_1_bit_for_bit": exact,
                      **result, "holds": holds, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
