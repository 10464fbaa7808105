"""Loading a UNet in fp16 from a file in the page cache, until every page of its weights is there: this pack's loader
against the host's own, in processes of their own that take turns. Time, and peak memory over the weights' own size.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import measure  # noqa: E402
from support.competition import Competitor, Worker, take_turns  # noqa: E402

LIMITS = {"seconds": 2.0, "peak_over_weights": 1.15}


def write_unet(path: Path, preset: str):
    """A UNet of the published structure and size in fp16; the values do not matter to a loader."""
    import torch
    from safetensors.torch import save_file
    from support import hosted
    hosted.start_host()
    native = hosted.load_pack().native.native_module()
    tensors = {}
    for name, shape, has_bias in native.UNet(native.preset_spec(preset)).leaves():
        tensors[f"{name}.weight"] = torch.full(shape, 0.01, dtype=torch.float16)
        if has_bias:
            tensors[f"{name}.bias"] = torch.full(shape[:1], 0.01, dtype=torch.float16)
    save_file(tensors, path)


def measured(path: Path, rounds: int) -> dict:
    """A fresh process for every load: what one leaves in memory would serve the next."""
    def load(name: str) -> dict:
        with Worker(Competitor(f"load_{name}", "unet_file.py", (name,)), threads=2) as worker:
            return worker.run(path=str(path))

    path.read_bytes()  # into the page cache
    return take_turns({name: lambda name=name: load(name) for name in ("host", "native")}, rounds)


def row(runs: list[dict]) -> dict:
    return {**measure.summary([run["seconds"] for run in runs]),
            "weight_bytes": runs[0]["weight_bytes"],
            "peak_over_weights": max(run["peak_bytes"] / run["weight_bytes"] for run in runs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["sd15", "sdxl"], default="sd15")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unet.safetensors"
        write_unet(path, options.model)
        rows = {name: row(runs) for name, runs in measured(path, options.rounds).items()}
    native = rows["native"]
    holds = native["median_s"] <= LIMITS["seconds"] and native["peak_over_weights"] <= LIMITS["peak_over_weights"]
    print(json.dumps({"benchmark": "load", "model": options.model, "rounds": options.rounds, "holds": holds,
                      "limits": LIMITS, **rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
