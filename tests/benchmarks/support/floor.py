"""The floor under a forward: its multiply-accumulates at the speed of the fastest convolution measured beside it."""

import time

import torch

SHAPES = ((320, 64), (640, 32), (1280, 16))  # channels in and out, latent height and width; 3x3, batch 2
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_REPEATS = 5
# On a GPU the launch and the wait for the result take as long as one convolution.
_CALLS = {"cpu": 1, "cuda": 50}


def _best_seconds(channels: int, size: int, dtype, device: str) -> float:
    x = torch.randn(2, channels, size, size, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    best = float("inf")
    for _ in range(_REPEATS):
        synchronize()
        started = time.perf_counter()
        for _ in range(_CALLS[device]):
            torch.nn.functional.conv2d(x, weight, padding=1)
        synchronize()
        best = min(best, (time.perf_counter() - started) / _CALLS[device])
    return best


def convolution_speed(dtype: str, threads: int, device: str = "cpu") -> dict:
    """Floating-point operations per second of the fastest shape, and which one it was."""
    torch.set_num_threads(threads)
    speeds = {}
    with torch.inference_mode():
        for channels, size in SHAPES:
            macs = 2 * size * size * 9 * channels * channels
            speeds[f"{channels}->{channels} at {size}x{size}"] = 2 * macs / _best_seconds(channels, size,
                                                                                          DTYPES[dtype], device)
    fastest = max(speeds, key=speeds.get)
    return {"flops": speeds[fastest], "shape": fastest}
