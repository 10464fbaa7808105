"""Two UNets in one run. Speed: the small UNet first and the full one after, against the full one alone, both in the
native engine and in turns; beside it, the speed-up that the multiply-accumulates foretell. Quality: the demo model and
a smaller UNet of it, PSNR and SSIM to the pictures of the full model over the share of steps that the small one makes.

--student names a file of a trained small UNet; where there is none, one is assembled out of the demo model, untrained.
--quick: a narrow UNet, few steps and pictures, for a look at whether it runs.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure  # noqa: E402
from support.case import Case  # noqa: E402
from support.competition import take_turns  # noqa: E402

from demo_models import SMALL_UNETS  # noqa: E402  isort: skip

STUDENT = SMALL_UNETS[0]
STUDENT_PRESET = "s0_s1"
EARLY_PRESET = "bk_tiny"
SHARE = 0.5
SPEEDUP_FLOOR = 1.2


def switched(pack, late, early, share: float):
    return pack.host.comfy_host().with_early_unet(late, early, share)


def timed_run(patcher, steps: int, latent: int) -> dict:
    from support import calls
    started = time.perf_counter()
    calls.sample(patcher, "euler", steps=steps, height=latent, width=latent)
    return {"seconds": time.perf_counter() - started}


def measured_speed(pack, options) -> dict:
    """Whole runs of the host's sampler on one latent, cond and uncond in one batch."""
    from support import models
    late = models.make_patcher(pack, options.model, options.width, arguments.DTYPES[options.dtype])
    late = pack.host.comfy_host().with_native_engine(late)
    early = models.assembled(pack, late, EARLY_PRESET)
    patchers = {"late": late, "switched": switched(pack, late, early, SHARE)}
    timed_run(patchers["switched"], 2, options.latent)  # both UNets find memory and code
    runs = take_turns({name: lambda patcher=patcher: timed_run(patcher, options.steps, options.latent)
                       for name, patcher in patchers.items()}, options.rounds)
    seconds = {name: [run["seconds"] for run in answers] for name, answers in runs.items()}
    macs = {name: pack.hosted_unet.hosted_unet(patcher.model).unet.full_macs(options.latent, options.latent, 77)
            for name, patcher in (("late", late), ("early", early))}
    return {"speedup": measure.median_ratio(seconds["late"], seconds["switched"]),
            "arithmetic": macs["late"] / (SHARE * macs["early"] + (1 - SHARE) * macs["late"]),
            **{name: measure.summary(series) for name, series in seconds.items()}}


def student_of(pack, demo, path: Path):
    """(the small UNet, what it is)"""
    from support import models
    host = pack.host.comfy_host()
    if path.is_file():
        return host.load_unet(str(path), pack.native.native_module().read_unet_file(str(path)), "default"), path.stem
    return models.assembled(pack, demo.host_model, STUDENT_PRESET), f"{STUDENT_PRESET}, untrained"


def measured_curve(pack, options) -> dict:
    """Means over the pictures, by share of the steps."""
    from support import picture_set
    from support.demo_model import DemoModel
    from support.scores import scores
    demo = DemoModel(pack)
    full = pack.host.comfy_host().with_native_engine(demo.host_model)
    student, name = student_of(pack, demo, options.student)
    batches = picture_set.batches(options.pictures, 1, min(options.pictures, 8))

    def pictures(model) -> list:
        return [demo.decode(demo.sample(model, batch.prompts, batch.seeds, "euler", options.steps))
                for batch in batches]
    reference = pictures(full)
    rows = []
    for percent in options.percents:
        found = [score for expected, given in zip(reference, pictures(switched(pack, full, student, percent / 100)),
                                                  strict=True) for score in scores(pack, expected, given)]
        psnr, ssim = (statistics.fmean(values) for values in zip(*found, strict=True))
        rows.append({"switch_percent": percent, "psnr": round(psnr, 3), "ssim": round(ssim, 5)})
        print(json.dumps(rows[-1]), flush=True)
    return {"student": name, "pictures": options.pictures, "rows": rows}


def parse_options():
    parser = arguments.model_parser(__doc__)
    arguments.add_dtype(parser)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--student", type=Path, default=STUDENT)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--percents", type=int, nargs="+", default=list(range(0, 101, 10)))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.width, options.latent, options.steps, options.pictures = 64, 16, 6, 2
        options.percents = [0, 50, 100]
    return options


def main():
    options = parse_options()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    import torch
    torch.set_num_threads(options.threads)
    pack = hosted.load_pack()
    speed = measured_speed(pack, options)
    curve = measured_curve(pack, options)
    case = Case(options.model, options.width, options.dtype, options.latent)
    limit = SPEEDUP_FLOOR if (case.model, case.width, case.latent) == ("sd15", 0, 64) else 0.0
    holds = speed["speedup"] >= limit
    print(json.dumps({"benchmark": "switch", "model": options.model, "dtype": options.dtype, "latent": options.latent,
                      "batch": 2, "steps": options.steps, "rounds": options.rounds, "early": EARLY_PRESET,
                      "switch_percent": 100 * SHARE, "holds": holds, "limits": {"speedup": limit}, **speed,
                      "curve": curve, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
