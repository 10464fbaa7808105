"""All that the pack has, together, against the host's own UNet: 20 steps of euler, SD1.5 in its published width, whole
runs in turns. What each stack changes in a picture is measured on the demo model and its distilled small UNet, against
the engine alone, which is the host's picture to rounding. docs/stack.md says how each is built of nodes.

--quick: a narrow UNet, few steps and pictures, for a look at whether it runs.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure  # noqa: E402
from support.competition import take_turns  # noqa: E402

from demo_models import SMALL_UNETS  # noqa: E402  isort: skip

SMALL = "s0_s1"  # what the distilled small UNet of the demo lacks
SPEEDUP_FLOOR, LEAST_PSNR = 4.0, 25.0  # of one and the same stack


@dataclass(frozen=True)
class Stack:
    """Nodes behind a model, by the names of docs/stack.md."""

    name: str
    speed: str = "exact"
    small_share: float = 0.0  # of the steps, at the start, that the small UNet makes

    def on(self, host, pack, full, small):
        """The MODEL. `full`, `small`: MODELs on the native engine."""
        if self.speed != "exact":
            request = pack.request({"speed": self.speed})
            full, small = (host.with_inheritance(model, request) for model in (full, small))
        return host.with_early_unet(full, small, self.small_share) if self.small_share else full


STACKS = (Stack("engine"), Stack("close", speed="2x"), Stack("fast", speed="3x"),
          Stack("fastest", speed="3x", small_share=0.3))


def measured_speed(pack, options) -> dict:
    """By stack: whole runs of the host's sampler, cond and uncond in one batch, over those of the host's UNet."""
    from support import calls, models
    host = pack.host.comfy_host()
    stock = models.make_patcher(pack, "sd15", options.width, arguments.DTYPES[options.dtype])
    full = host.with_native_engine(stock)
    small = models.assembled(pack, full, SMALL)

    def run(patcher, steps: int) -> dict:
        started = time.perf_counter()
        calls.sample(patcher, "euler", steps=steps, height=options.latent, width=options.latent)
        return {"seconds": time.perf_counter() - started}
    patchers = {"host": stock} | {stack.name: stack.on(host, pack, full, small) for stack in STACKS}
    for patcher in patchers.values():
        run(patcher, 2)  # memory, code and plans are found
    runs = take_turns({name: lambda patcher=patcher: run(patcher, options.steps)
                       for name, patcher in patchers.items()}, options.rounds)
    seconds = {name: [one["seconds"] for one in answers] for name, answers in runs.items()}
    return {name: {"speedup": round(measure.median_ratio(seconds["host"], series), 3), **measure.summary(series)}
            for name, series in seconds.items()}


def measured_closeness(pack, options) -> dict:
    """By stack: PSNR and SSIM of the demo's pictures to those of the engine alone, means over pictures."""
    from support import picture_set
    from support.demo_model import DemoModel
    from support.scores import scores
    host, demo = pack.host.comfy_host(), DemoModel(pack)
    full = host.with_native_engine(demo.host_model)
    small = host.load_unet(str(SMALL_UNETS[0]), pack.native.native_module().read_unet_file(str(SMALL_UNETS[0])),
                           "default")
    batches = picture_set.batches(options.pictures, 1, min(options.pictures, 8))

    def pictures(stack: Stack) -> list:
        model = stack.on(host, pack, full, small)
        return [demo.decode(demo.sample(model, batch.prompts, batch.seeds, "euler", options.steps))
                for batch in batches]
    exact, found = pictures(STACKS[0]), {}
    for stack in STACKS[1:]:
        close = [score for expected, given in zip(exact, pictures(stack), strict=True)
                 for score in scores(pack, expected, given)]
        psnr, ssim = (statistics.fmean(values) for values in zip(*close, strict=True))
        found[stack.name] = {"psnr": round(psnr, 2), "ssim": round(ssim, 4)}
        print(json.dumps({stack.name: found[stack.name]}), flush=True)
    return found


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    arguments.add_device(parser)
    arguments.add_dtype(parser)
    parser.add_argument("--width", type=int, default=0, help="model channels; 0: as published")
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.width, options.latent, options.steps, options.pictures = 64, 16, 10, 2
    return options


def main():
    options = parse_options()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    pack = hosted.load_pack()
    speed, close = measured_speed(pack, options), measured_closeness(pack, options)
    whole = (options.width, options.latent) == (0, 64)
    holds = not whole or any(speed[name]["speedup"] >= SPEEDUP_FLOOR and close[name]["psnr"] >= LEAST_PSNR
                             for name in close)
    stacks = [{"name": stack.name, "speed": stack.speed, "small_share": stack.small_share, **speed[stack.name],
               **close.get(stack.name, {})} for stack in STACKS]
    print(json.dumps({"benchmark": "stack", "device": options.device, "dtype": options.dtype,
                      "latent": options.latent, "steps": options.steps, "rounds": options.rounds,
                      "pictures": options.pictures, "holds": holds, "host": speed["host"], "stacks": stacks,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
