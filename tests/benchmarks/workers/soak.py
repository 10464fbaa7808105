"""Many runs in one process of the real host, mixed at random: models, sizes, samplers, inheritance, plans, LoRA on and
off, interrupts, models unloaded in between. A run that was made before has to give the same bits, and memory and open
files must not grow.

`soak.py RUNS SEED`: the figures so far, now and then, as lines of JSON on stdout.
"""

import gc
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np  # noqa: E402
import torch  # noqa: E402
from support.small_runs import STEPS, SmallRuns, sample  # noqa: E402

HOST_ERROR = 1e-5  # relative L2 to the host's own result, without inheritance
WARM_UP = 0.4  # of the runs: until then each kind was made once, and the allocator has what it needs
WAYS = {
    "exact": None,
    "blocks": {},
    "forecast": {"value": "taylor2", "interval": 3},
    "layers": {"level": "layer", "sites": "transformers"},
    "units": {"level": "unit", "sites": "attn1"},
    "guidance": {"sites": "guidance"},
    "adaptive": {"sites": "auto", "mode": "adaptive", "threshold": 0.3},
    "bf16": {"storage": "bf16"},
}
KINDS = [(model, way, size, sampler, lora)
         for model, ways in (("sd15", list(WAYS)), ("s0_s1", ["exact", "blocks"]), ("sdxl", ["exact"]))
         for way in ways
         for size, sampler, lora in ((8, "euler", False), (8, "heun", True), (16, "dpmpp_2m", False))
         if model != "sdxl" or size == 8]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope(values: list[float]) -> float:
    """Of the straight line through `values`, a step."""
    return float(np.polyfit(range(len(values)), values, 1)[0]) if len(values) > 1 else 0.0


class Soak:
    def __init__(self, runs: SmallRuns, seed: int):
        self._runs = runs
        self._draw = random.Random(seed)
        self._bits: dict = {}
        self.counts = Counter()

    def _model(self, kind):
        name, way, _, _, lora = kind
        model = self._runs.native[name]
        if lora:
            model = self._runs.with_lora(model)
        if WAYS[way] is not None:
            # Cuts are named by block numbers, which a UNet without them lacks.
            model = self._runs.inheriting(model, **WAYS[way])
        return model

    def step(self):
        import comfy.model_management
        kind = self._draw.choice(KINDS)
        model = self._model(kind)
        if self._draw.random() < 0.15:
            self._interrupted(model, kind)
        if self._draw.random() < 0.1:
            comfy.model_management.unload_all_models()
            self.counts["unloaded"] += 1
        latent = sample(model, size=kind[2], sampler=kind[3])
        self._compare(kind, latent, model)
        if kind[1] != "exact" and kind[0] == "sd15" and not kind[4] and self._draw.random() < 0.2:
            again = sample(self._runs.following(model, latent), size=kind[2], sampler=kind[3])
            self.counts.update(plans=1, silently_wrong=not torch.equal(again, latent))

    def _interrupted(self, model, kind):
        import comfy.model_management
        at = self._draw.randrange(STEPS)

        def callback(step, *_):
            if step == at:
                comfy.model_management.interrupt_current_processing()

        try:
            sample(model, size=kind[2], sampler=kind[3], callback=callback)
        except comfy.model_management.InterruptProcessingException:
            self.counts["interrupts"] += 1
        finally:
            comfy.model_management.interrupt_current_processing(False)

    def _compare(self, kind, latent, model):
        """Bits with those of the same run before; the first of its kind with the host's own, where nothing is
        inherited."""
        if kind in self._bits:
            same = torch.equal(latent, self._bits[kind])
            self.counts.update(repeated=1, silently_wrong=not same)
            if not same:
                print(f"other bits than before: {kind}", file=sys.stderr)
            return
        self._bits[kind] = latent
        if kind[1] == "exact" and kind[0] != "s0_s1":  # the host cannot make one that lacks parts
            stock = self._runs.stock[kind[0]]
            host = sample(self._runs.with_lora(stock) if kind[4] else stock, size=kind[2], sampler=kind[3])
            error = float((latent - host).norm() / host.norm())
            self.counts.update(compared_with_host=1, silently_wrong=error > HOST_ERROR)
            if error > HOST_ERROR:
                print(f"{error:.1e} from the host's result: {kind}", file=sys.stderr)


def main(count: int, seed: int):
    soak = Soak(SmallRuns(), seed)
    memory, files = [], []
    for number in range(1, count + 1):
        soak.step()
        gc.collect()
        memory.append(resident_mb())
        files.append(len(os.listdir("/proc/self/fd")))
        if number % 25 == 0 or number == count:
            warm = int(number * WARM_UP)
            print(json.dumps({"runs": number, "silently_wrong": 0, "crashes": 0, **soak.counts, "kinds": len(KINDS),
                              "memory_slope_mb": round(slope(memory[warm:]), 4), "memory_mb": round(memory[-1], 1),
                              "open_files_slope": round(slope(files[warm:]), 3)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
