"""One forward of assembled UNets against the full one they share their weights with, all in the native engine and in
turns; beside each, the speed-up that its multiply-accumulates foretell."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import take_turns  # noqa: E402

# Speed-ups that SD1.5 must reach at full width and 64x64: the 22.4 % of A-SDM's abstract, and a half for BK-tiny.
LIMITS = {"s0_s1": 1.224, "bk_tiny": 1.5}


def timed_forward(patcher, inputs) -> dict:
    from support import calls
    from workers.serve import timed
    _, seconds = timed(lambda: calls.forward(patcher, inputs))
    return {"seconds": seconds}


def measured(options) -> tuple[dict, dict]:
    """(answers by name and round, multiply-accumulates by name)"""
    import torch
    from support import calls, models
    hosted.start_host(device=options.device)
    pack = hosted.load_pack()
    torch.set_num_threads(options.threads)
    full = models.make_patcher(pack, options.model, options.width, arguments.DTYPES[options.dtype])
    full = pack.host.comfy_host().with_native_engine(full)
    patchers = {"full": full} | {preset: models.assembled(pack, full, preset) for preset in options.presets}
    inputs = models.random_inputs(full, options.batch, options.latent, options.latent)
    calls.load(*patchers.values())
    for patcher in patchers.values():
        timed_forward(patcher, inputs)  # the first call finds memory and code
    runs = take_turns({name: lambda patcher=patcher: timed_forward(patcher, inputs)
                       for name, patcher in patchers.items()}, options.rounds)
    macs = {name: pack.hosted_unet.hosted_unet(patcher.model).unet.full_macs(options.latent, options.latent, 77)
            for name, patcher in patchers.items()}
    return runs, macs


def main():
    parser = arguments.model_parser(__doc__)
    arguments.add_dtype(parser)
    parser.add_argument("--presets", nargs="+", default=["s0", "s0_s1", "s0_s1_s2", "bk_base", "bk_small", "bk_tiny"])
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    runs, macs = measured(options)
    seconds = {name: [run["seconds"] for run in answers] for name, answers in runs.items()}
    rows = [{"preset": name, **measure.summary(series), "gmacs": macs[name] / 1e9,
             "speedup": measure.median_ratio(seconds["full"], series), "arithmetic": macs["full"] / macs[name]}
            for name, series in seconds.items()]
    speedups = {row["preset"]: row["speedup"] for row in rows}
    case = Case(options.model, options.width, options.dtype, options.latent, options.batch)
    limits = LIMITS if (case.model, case.width, case.latent) == ("sd15", 0, 64) else {}
    holds = all(speedups.get(preset, 0.0) >= limit for preset, limit in limits.items())
    print(json.dumps({"benchmark": "assembled", "model": options.model, "dtype": options.dtype,
                      "latent": options.latent, "batch": options.batch, "rounds": options.rounds, "holds": holds,
                      "speedup": speedups.get("s0_s1"), "speedup_bk_tiny": speedups.get("bk_tiny"), "limits": limits,
                      "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
