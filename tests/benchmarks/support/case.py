"""What is measured: the same description for every competitor, handed to its process as JSON."""

from dataclasses import dataclass

PARAMETERS = {"sd15": 859_520_964, "sdxl": 2_567_463_684}  # at the published width
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Case:
    """One shape of one model. Weights and inputs follow from it alone, so they are the same in every process."""

    model: str = "sd15"
    width: int = 0  # model channels; 0: the published width
    dtype: str = "fp32"
    latent: int = 64
    batch: int = 2
    threads: int = 2
    device: str = "cpu"

    def weight_bytes(self) -> int:
        """What one copy of the weights takes; a bound from above for a reduced width."""
        return PARAMETERS[self.model] * BYTES[self.dtype]
