"""Files that are there whole or not at all, however the process that writes them ends."""
import os
from pathlib import Path

import torch


def replace_whole(path, write):
    """Call `write(part)` for a path beside `path`, then put that file in its place."""
    part = Path(f"{path}.part")
    write(part)
    with open(part, "rb") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def save_whole(state, path):
    """`torch.save` of a checkpoint."""
    replace_whole(path, lambda part: torch.save(state, part))
