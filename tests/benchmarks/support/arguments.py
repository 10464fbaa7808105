"""The command-line arguments that benchmarks of one model share."""

import argparse
from pathlib import Path

import torch

from .case import PARAMETERS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def model_parser(description: str) -> argparse.ArgumentParser:
    """--model, --width and --device."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", choices=list(PARAMETERS), default="sd15")
    parser.add_argument("--width", type=int, default=0, help="model channels; 0: as published")
    add_device(parser)
    return parser


def add_device(parser: argparse.ArgumentParser):
    """--device, the GPU by default where there is one."""
    parser.add_argument("--device", choices=["cpu", "cuda"], default=DEVICE)


def fast_dtype(device: str = DEVICE) -> str:
    """The dtype that this machine computes fastest in: bf16 on CPUs that have instructions for it."""
    if device == "cuda":
        return "fp16"
    processor = Path("/proc/cpuinfo")
    return "bf16" if processor.is_file() and "avx512_bf16" in processor.read_text(encoding="utf-8") else "fp32"


def add_dtype(parser: argparse.ArgumentParser):
    """--dtype, the fast one of the machine by default."""
    parser.add_argument("--dtype", choices=list(DTYPES), default=fast_dtype())
