"""Native calls against the host's own on checkpoints of the published size, as the host's loader loads them, in fp32,
and the report of a sampling run. Of SD1.5 every kind of call that `parity` makes; of the larger ones those in which the
weights alone matter, as the host's tests make all kinds on each at reduced width. One JSON object a line for each
PRESET.

    hosted_calls.py PRESET...
"""

import gc
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch  # noqa: E402
from parity import Comparison, Fallbacks  # noqa: E402
from support import calls, hosted, measure  # noqa: E402
from support.features import cases, weight_cases  # noqa: E402

SCRATCH = hosted.ROOT / ".test"
STEPS = 4  # of the sampling run
MARGIN = 1.6  # the weights beside a ControlNet, or beside what a LoRA patched


def check_memory(preset: str, count: int):
    """Linux would end another process for the memory that is missing here."""
    needed = MARGIN * 4 * count
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    if free < needed:
        raise MemoryError(f"{preset}: expected {needed / 2**30:.1f} GiB of free memory, got {free / 2**30:.1f}")


def write_checkpoint(path: Path, leaves: list):
    """Every leaf as torch initialises it, norms with a jitter around 1 and 0, in fp16 as such files are."""
    from safetensors.torch import save_file
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape, has_bias in leaves:
        is_norm = len(shape) == 1
        size = 0.1 if is_norm else torch.Size(shape[1:]).numel() ** -0.5
        for kind, middle in (("weight", 1.0 if is_norm else 0.0), *([("bias", 0.0)] if has_bias else [])):
            values = torch.rand(shape if kind == "weight" else shape[:1], generator=generator) * 2 - 1
            tensors[f"{name}.{kind}"] = (middle + size * values).half()
    save_file(tensors, path)


def load(pack, preset: str, folder: Path):
    """What the host's own loader makes of a file with random weights."""
    import comfy.sd
    native = pack.native.native_module()
    leaves = native.UNet(native.preset_spec(preset)).leaves()
    check_memory(preset, sum(torch.Size(shape).numel() for _, shape, _ in leaves))
    path = folder / f"{preset}.safetensors"
    write_checkpoint(path, leaves)
    return comfy.sd.load_diffusion_model(str(path))


def compare(pack, preset: str, folder: Path) -> dict:
    fallbacks = Fallbacks()
    patcher = load(pack, preset, folder)
    comparison = Comparison(pack, patcher, torch.float32, preset)
    waiting = cases(patcher) if preset == "sd15" else weight_cases()
    waiting, rows = sorted(waiting, key=lambda case: case.control is None), []
    while waiting:  # a case that is done keeps no ControlNet beside what the next ones need
        rows.append(comparison.row(waiting.pop(0)))
    host = pack.host.comfy_host()
    native = host.with_native_engine(patcher)
    latent = calls.sample(native, "euler", STEPS)
    report = json.loads(host.run_report(native, {"samples": latent}))
    return {"preset": preset, "relative_l2": {row["case"]: row["relative_l2"] for row in rows},
            "effect": {row["case"]: row["effect"] for row in rows if "effect" in row},
            "latents_relative_l2": measure.relative_l2(latent, calls.sample(patcher, "euler", STEPS)),
            "native_share": report["native_share"], "native_calls": report["native_calls"],
            "fallback_calls": report["fallback_calls"], "fallbacks": fallbacks.messages}


def main():
    hosted.start_host("--use-pytorch-cross-attention", "--force-fp32")
    torch.backends.cudnn.allow_tf32 = False  # fp32 is to mean fp32 on both sides
    pack = hosted.load_pack()
    SCRATCH.mkdir(exist_ok=True)
    for preset in sys.argv[1:]:
        # As the host runs its nodes.
        with tempfile.TemporaryDirectory(dir=SCRATCH) as folder, torch.inference_mode():
            print(json.dumps(compare(pack, preset, Path(folder))), flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
