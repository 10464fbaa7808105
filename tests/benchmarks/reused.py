"""What calls of a run reuse, each beside calls that make everything anew, in the native engine and in turns: the keys
and values of the prompt, and, in calls that inherit out.8, what the held feature alone brings to the block behind it.
The first must not change a bit, the second no more than rounding.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import arguments, hosted, measure  # noqa: E402

SIZES = (64, 32)  # latent height and width
WAYS = ("anew", "prompts", "sums")
ROUNDING = {"fp32": 1e-5, "bf16": 2e-2, "fp16": 2e-2}  # relative L2
MARGIN = 1.01  # of noise on the ratio


class Engine:
    """The UNet of `preset` with random weights, called as a sampling run does."""

    def __init__(self, pack, preset: str, width: int, dtype):
        import torch
        self._native = pack.native.native_module()
        self._spec = self._native.preset_spec(preset, width)
        self._unet = self._native.UNet(self._spec)
        self._dtype = dtype
        generator = torch.Generator().manual_seed(0)

        def draw(shape):
            return torch.empty(shape, dtype=dtype).uniform_(-0.03, 0.03, generator=generator)

        leaves = [(draw(shape), draw(shape[:1]) if has_bias else None) for _, shape, has_bias in self._unet.leaves()]
        self._weights = self._native.HostWeights(self._unet, leaves, None)
        self._hooks = pack.hooks.HostHooks({}, self._spec.model_channels, None)
        self._prompts = self._native.ProjectionCache()

    def inputs(self, size: int, batch: int) -> dict:
        import torch
        generator = torch.Generator().manual_seed(1)

        def draw(*shape):
            return torch.randn(shape, generator=generator).to(self._dtype)

        adm = self._spec.adm_in_channels
        return {"x": draw(batch, 4, size, size), "timesteps": torch.full((batch,), 500.0),
                "context": draw(batch, 77, self._spec.context_dim), "y": draw(batch, adm) if adm else None}

    def inheriting_run(self, calls: int):
        request = self._native.InheritanceRequest(level="block", sites="auto", mode="uniform", interval=calls + 2)
        settings = self._native.InheritanceSettings(self._unet, request)
        return self._native.Run(settings, [float(calls + 2 - i) for i in range(calls + 3)], self._unet)

    def call(self, inputs: dict, way: str, run=None, sigma: float = 0.0):
        """(output, seconds)."""
        import torch
        features = self._native.CallFeatures()
        if run is not None:
            run.begin_evaluation(sigma)
            features = run.begin_call(["cond", "uncond"], [0, 1], len(inputs["x"]))
        started = time.perf_counter()
        with torch.inference_mode():
            output = self._unet.forward(**inputs, control={}, weights=self._weights, hooks=self._hooks,
                                        features=features, projections=self._prompts if way == "prompts" else None,
                                        reuses_sums=way == "sums")
        seconds = time.perf_counter() - started
        if run is not None:
            run.end_call(features, output)
        return output, seconds


def compared(engine: Engine, size: int, options, inherits: bool) -> list[dict]:
    """One row for each way: its time over that of the calls before and after it that make everything anew."""
    inputs = engine.inputs(size, options.batch)
    ways = WAYS if inherits else WAYS[:-1]
    calls = len(ways) * (options.rounds + 1) + 1
    run = engine.inheriting_run(calls) if inherits else None
    sigmas = iter(float(calls + 2 - i) for i in range(calls + 1))
    engine.call(inputs, "anew", run, next(sigmas))
    seconds, errors = {way: [] for way in ways}, dict.fromkeys(ways, 0.0)
    for turn in range(options.rounds + 1):
        outputs = {}
        for way in ways if turn % 2 else reversed(ways):
            outputs[way], spent = engine.call(inputs, way, run, next(sigmas))
            if turn:  # the first calls make what the others reuse
                seconds[way].append(spent)
        for way in ways:
            errors[way] = max(errors[way], measure.relative_l2(outputs[way], outputs["anew"]))
    return [{"latent": size, "inherits": inherits, "way": way, "relative_l2": errors[way],
             "ratio": measure.median_ratio(seconds[way], seconds["anew"]), **measure.summary(seconds[way])}
            for way in ways]


def holds(row: dict, dtype: str) -> bool:
    limit = ROUNDING[dtype] if row["way"] == "sums" else 0.0
    return row["ratio"] <= MARGIN and row["relative_l2"] <= limit


def main():
    parser = arguments.model_parser(__doc__)
    parser.add_argument("--dtype", choices=list(arguments.DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    hosted.start_host(device="cpu")
    engine = Engine(hosted.load_pack(), options.model, options.width, arguments.DTYPES[options.dtype])
    rows = [row for size in options.sizes for inherits in (False, True)
            for row in compared(engine, size, options, inherits)]
    for row in rows:
        print(f"{row['latent']}x{row['latent']} {'inherited' if row['inherits'] else 'full':9} {row['way']:10} "
              f"{row['median_s'] * 1e3:8.1f} ms {row['ratio']:6.3f} {row['relative_l2']:8.1e}")
    as_claimed = all(holds(row, options.dtype) for row in rows)
    print(json.dumps({"benchmark": "reused", "model": options.model, "dtype": options.dtype, "batch": options.batch,
                      "rounds": options.rounds, "holds": as_claimed, "rows": rows, "machine": measure.machine()}))
    return 0 if as_claimed else 1


if __name__ == "__main__":
    sys.exit(main())
