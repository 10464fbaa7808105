"""Native engine against the host's own forward: relative L2 of every kind of call, and of sampled latents.

--full: the published widths instead of reduced ones. --brief: bf16 in few cases and runs of few steps, for further
architectures beside one that is measured whole.
"""

import argparse
import gc
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, calls, hosted, measure, models  # noqa: E402
from support.features import Case, cases  # noqa: E402

BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
LATENT_BOUND = 1e-3
MINIMAL_EFFECT = 1e-3  # a feature that changes the output by less was not there
REDUCED_WIDTH = {"sd15": 32, "sd21": 64, "sdxl": 64, "sdxl_refiner": 64}
FORMS = {"inpainting": 9, "InstructPix2Pix": 8}  # input channels
SAMPLERS = ("euler", "dpmpp_2m", "heun", "uni_pc")
STEPS, BRIEF_STEPS = 10, 3
BRIEF_CASES = ("plain", "odd size")  # in bf16, for which some processors have no instructions


def name_of(dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]


class Comparison:
    """Cases through the host and through the engine, on the weights of one patcher."""

    def __init__(self, pack, patcher, dtype, preset):
        self._pack, self._patcher, self._dtype, self._preset = pack, patcher, dtype, preset
        self._plain = {}

    def row(self, case) -> dict:
        inputs = models.random_inputs(self._patcher, **case.inputs)
        hosted_patcher = case.apply(self._patcher)
        native = self._pack.host.comfy_host().with_native_engine(hosted_patcher)
        outputs = []
        for one in (hosted_patcher, native):
            calls.load(one, offload=case.offload)
            outputs.append(calls.forward(one, inputs, case.control))
            calls.unload(one)
        row = {"preset": self._preset, "dtype": name_of(self._dtype), "case": case.name, "bound": BOUNDS[self._dtype],
               "relative_l2": measure.relative_l2(outputs[1], outputs[0])}
        if case.acts:
            row["effect"] = measure.relative_l2(outputs[0], self._plain_output(case, inputs))
        return row

    def _plain_output(self, case, inputs) -> torch.Tensor:
        """The host's result without the case's feature, to show that the feature did something. Cases with the same
        inputs share it: in bf16 the host takes seconds on processors without instructions for it."""
        shape = tuple(sorted(case.inputs.items()))
        if shape not in self._plain:
            calls.load(self._patcher)
            self._plain[shape] = calls.forward(self._patcher, inputs)
            calls.unload(self._patcher)
        return self._plain[shape]


class Fallbacks(logging.Handler):
    """Collects the engine's words about calls that it left to the host: parity of those would say nothing."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []
        logging.getLogger("asdm").addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())


def shown(rows: list[dict]) -> list[dict]:
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def fits(row) -> bool:
    return row["relative_l2"] <= row["bound"] and row.get("effect", 1.0) > MINIMAL_EFFECT


def compare_forms(pack, preset, width) -> list[dict]:
    """The forms of a UNet that differ in their input channels alone."""
    rows = []
    for form, channels in FORMS.items():
        patcher = models.make_patcher(pack, preset, width, in_channels=channels)
        rows.append(Comparison(pack, patcher, torch.float32, preset).row(Case(form, acts=False)))
        del patcher  # before the next is made: two of SDXL at full width do not fit into 24 GB
        gc.collect()
    return rows


def compare_samplers(pack, patcher, preset, steps: int) -> list[dict]:
    native = pack.host.comfy_host().with_native_engine(patcher)
    return [{"preset": preset, "dtype": "fp32", "case": f"{steps} steps {sampler}", "bound": LATENT_BOUND,
             "relative_l2": measure.relative_l2(*(calls.sample(model, sampler, steps=steps)
                                                  for model in (native, patcher)))}
            for sampler in SAMPLERS]


def compare_cases(comparison, patcher, dtype, brief: bool) -> list[dict]:
    chosen = [case for case in cases(patcher)
              if not brief or dtype is torch.float32 or case.name in BRIEF_CASES]
    return [comparison.row(case) for case in chosen]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="published widths")
    parser.add_argument("--presets", nargs="+", default=list(REDUCED_WIDTH), choices=list(REDUCED_WIDTH))
    parser.add_argument("--brief", action="store_true", help="less of what is the same for all architectures")
    arguments.add_device(parser)
    options = parser.parse_args()
    hosted.start_host("--use-pytorch-cross-attention", device=options.device)
    torch.backends.cudnn.allow_tf32 = False  # fp32 is to mean fp32 on both sides
    pack = hosted.load_pack()
    fallbacks = Fallbacks()
    rows = []
    for preset in options.presets:
        width = 0 if options.full else REDUCED_WIDTH[preset]
        for dtype in BOUNDS:
            patcher = models.make_patcher(pack, preset, width, dtype)
            comparison = Comparison(pack, patcher, dtype, preset)
            rows += shown(compare_cases(comparison, patcher, dtype, options.brief))
            if dtype is torch.float32:
                rows += shown(compare_samplers(pack, patcher, preset, BRIEF_STEPS if options.brief else STEPS))
            del patcher, comparison
            gc.collect()
        rows += shown(compare_forms(pack, preset, width))
    worst = {}
    for row in rows:
        kind = f"{row['dtype']} {'latents' if row['bound'] == LATENT_BOUND else 'forward'}"
        worst[kind] = max(worst.get(kind, 0.0), row["relative_l2"])
    holds = all(map(fits, rows)) and not fallbacks.messages
    print(json.dumps({"benchmark": "parity", "device": options.device,
                      "width": "published" if options.full else "reduced", "holds": holds, "worst": worst,
                      "fallbacks": fallbacks.messages, "rows": rows}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
