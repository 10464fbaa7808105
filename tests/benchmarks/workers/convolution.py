"""The speed that a UNet could have here: the fastest of its typical 3x3 convolutions, channels_last, in torch."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve  # noqa: E402
from support import floor  # noqa: E402


class Convolution:
    def prepare(self, case) -> dict:
        self._case = case
        return {}

    def run(self) -> dict:
        return floor.convolution_speed(self._case.dtype, self._case.threads, self._case.device)


if __name__ == "__main__":
    serve(Convolution)
