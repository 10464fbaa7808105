"""How long work took: by the clock on a CPU, by events on a GPU, where calls return before their work is done."""

import time
from dataclasses import dataclass

import torch


def time_stamp(device: torch.device):
    """Now, in the work of `device`; by the clock where somebody captures that work, as events cannot be read
    there."""
    if device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event


@dataclass(frozen=True)
class Span:
    """From one time stamp to another, of the same device. On a GPU nothing waits before the seconds are asked for."""

    start: object
    end: object
    without: "Span | None" = None  # a part that does not count

    @property
    def seconds(self) -> float:
        if isinstance(self.start, float) and isinstance(self.end, float):
            whole = self.end - self.start
        elif isinstance(self.start, float) or isinstance(self.end, float):
            return 0.0  # a capture began or ended in between: nothing was run
        else:
            self.end.synchronize()
            whole = self.start.elapsed_time(self.end) / 1000.0
        return whole - (0.0 if self.without is None else self.without.seconds)
