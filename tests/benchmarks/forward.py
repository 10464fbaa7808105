"""One UNet forward of the native engine against the host's own, SD1.5 in its published width, 64x64, batch 2.

The host runs with --use-pytorch-cross-attention, its best attention on CPU. Interleaved in one run, per dtype.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import hosted  # noqa: E402

hosted.start_host("--use-pytorch-cross-attention")
import torch  # noqa: E402
from support import calls, measure, models  # noqa: E402

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
LIMIT = 1.0


def measure_dtype(pack, dtype, rounds: int) -> dict:
    patcher = models.make_patcher(pack, "sd15", 0, dtype)
    native = pack.host.comfy_host().with_native_engine(patcher, {"compute_dtype": "auto"})
    inputs = models.random_inputs(patcher, batch=2, height=64, width=64)
    outputs = {}
    seconds = {"host": [], "native": []}
    for round_number in range(rounds + 1):  # the first one warms up
        for name, one in (("host", patcher), ("native", native)):
            calls.load(one)  # swapping the clones of one model is no part of a forward
            started = time.perf_counter()
            outputs[name] = calls.forward(one, inputs)
            if round_number:
                seconds[name].append(time.perf_counter() - started)
    return {"host": measure.summary(seconds["host"]), "native": measure.summary(seconds["native"]),
            "native_over_host": measure.median_ratio(seconds["native"], seconds["host"]),
            "relative_l2": calls.relative_l2(outputs["native"], outputs["host"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    options = parser.parse_args()
    pack = hosted.load_pack()
    rows = []
    for name in options.dtypes:
        rows.append({"dtype": name, **measure_dtype(pack, DTYPES[name], options.rounds)})
        print(json.dumps(rows[-1]), flush=True)
    holds = all(row["native_over_host"] <= LIMIT for row in rows)
    print(json.dumps({"benchmark": "forward", "model": "sd15", "latent": [64, 64], "batch": 2, "holds": holds,
                      "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
