"""Figures that can be compared on a shared machine: medians, ratios within a round, and the machine they belong to."""

import os
import platform
import statistics
import time
from pathlib import Path

import torch


def median(values: list[float]) -> float:
    return statistics.median(values)


def summary(seconds: list[float]) -> dict:
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds)}


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median over the rounds of the ratio within a round, which cancels what slows a whole round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def relative_l2(value, reference) -> float:
    """|value - reference| / |reference| of two tensors or arrays of one shape."""
    value, reference = (torch.as_tensor(each).double() for each in (value, reference))
    return float((value - reference).norm() / reference.norm())


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def device_name() -> str:
    """Of the GPU where there is one, else of the CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()


def has_tiles() -> bool:
    """Whether the processor multiplies tiles of bf16 (AMX)."""
    return torch.cpu._is_amx_tile_supported()


def machine() -> dict:
    """What the figures belong to."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "memory_bytes": memory, "threads": torch.get_num_threads(),
            "amx": has_tiles(), "torch": torch.__version__, "python": platform.python_version(),
            "date": time.strftime("%Y-%m-%d"), "load_average": os.getloadavg()[0],
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None}
