"""The training log: one JSON object a line, appended as training goes."""
import json
import time
from pathlib import Path

import torch


class TrainingLog:
    """Appends records to a .jsonl file and echoes them."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, **record):
        """Write one record, flushed at once so that a stop loses nothing."""
        line = json.dumps(record)
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(line + "\n")
        print(line, flush=True)


class Stopwatch:
    """Seconds of work: of the processor, a thread, so that what else the machine does cuts no training short."""

    def __init__(self, elapsed=0.0):
        self.elapsed = elapsed
        self.last = time.process_time()

    def lap(self):
        """Seconds of work so far."""
        now = time.process_time()
        self.elapsed += (now - self.last) / torch.get_num_threads()
        self.last = now
        return self.elapsed


def read_log(path):
    """All records of a log file."""
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle if line.strip()]
