"""Calls of a run that find what earlier calls made of the same prompt, beside calls that make it anew, in the native
engine and in turns: full calls, and calls that inherit out.8. The results must be equal bit for bit.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure  # noqa: E402

SIZES = (64, 32)  # latent height and width
MARGIN = 1.01  # of noise on the ratio


class Engine:
    """The UNet of `preset` with random weights, called as a sampling run does."""

    def __init__(self, pack, preset: str, width: int, dtype):
        import torch
        self._native = pack.native.native_module()
        self._unet = self._native.UNet(self._native.preset_spec(preset, width))
        self._spec = json.loads(self._native.preset_spec(preset, width))
        self._dtype = dtype
        generator = torch.Generator().manual_seed(0)

        def draw(shape):
            return torch.empty(shape, dtype=dtype).uniform_(-0.03, 0.03, generator=generator)

        leaves = [(draw(shape), draw(shape[:1]) if has_bias else None) for _, shape, has_bias in self._unet.leaves()]
        self._weights = self._native.HostWeights(self._unet, leaves, None)
        self._hooks = pack.hooks.HostHooks({}, self._spec["model_channels"], None)
        self._projections = self._native.ProjectionCache()

    def inputs(self, size: int, batch: int) -> dict:
        import torch
        generator = torch.Generator().manual_seed(1)

        def draw(*shape):
            return torch.randn(shape, generator=generator).to(self._dtype)

        adm = self._spec["adm_in_channels"]
        return {"x": draw(batch, 4, size, size), "timesteps": torch.full((batch,), 500.0),
                "context": draw(batch, 77, self._spec["context_dim"]), "y": draw(batch, adm) if adm else None}

    def inheriting_run(self, calls: int):
        settings = self._unet.inheritance_settings(level="block", sites="auto", mode="uniform", interval=calls + 2)
        return self._native.Run(settings, [float(calls + 2 - i) for i in range(calls + 3)], self._unet)

    def call(self, inputs: dict, remembers: bool, run=None, sigma: float = 0.0):
        """(output, seconds)."""
        import torch
        features = self._native.CallFeatures()
        if run is not None:
            run.begin_evaluation(sigma)
            features = run.begin_call(["cond", "uncond"], [0, 1], inputs["x"])
        started = time.perf_counter()
        with torch.inference_mode():
            output = self._unet.forward(**inputs, control={}, weights=self._weights, hooks=self._hooks,
                                        features=features,
                                        projections=self._projections if remembers else None)
        seconds = time.perf_counter() - started
        if run is not None:
            run.end_call(features, output)
        return output, seconds


def compared(engine: Engine, size: int, batch: int, inherits: bool, rounds: int) -> dict:
    import torch
    inputs = engine.inputs(size, batch)
    calls = 2 * (rounds + 1) + 1
    run = engine.inheriting_run(calls) if inherits else None
    sigmas = iter(float(calls + 2 - i) for i in range(calls + 1))
    engine.call(inputs, True, run, next(sigmas))  # makes and stores
    seconds = {False: [], True: []}
    equal = True
    for turn in range(rounds + 1):
        outputs = []
        for remembers in ((False, True) if turn % 2 else (True, False)):
            output, spent = engine.call(inputs, remembers, run, next(sigmas))
            outputs.append(output)
            if turn:  # the first calls find memory and code
                seconds[remembers].append(spent)
        equal = equal and torch.equal(*outputs)
    return {"latent": size, "inherits": inherits, "equal_bit_for_bit": equal,
            "ratio": measure.median_ratio(seconds[True], seconds[False]),
            "anew": measure.summary(seconds[False]), "remembered": measure.summary(seconds[True])}


def main():
    parser = arguments.model_parser(__doc__)
    parser.add_argument("--dtype", choices=list(arguments.DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    hosted.start_host(device="cpu")
    engine = Engine(hosted.load_pack(), options.model, options.width, arguments.DTYPES[options.dtype])
    rows = [compared(engine, size, options.batch, inherits, options.rounds)
            for size in options.sizes for inherits in (False, True)]
    holds = all(row["equal_bit_for_bit"] and row["ratio"] <= MARGIN for row in rows)
    print(json.dumps({"benchmark": "remembered", "model": options.model, "dtype": options.dtype,
                      "batch": options.batch, "rounds": options.rounds, "holds": holds, "rows": rows,
                      "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
