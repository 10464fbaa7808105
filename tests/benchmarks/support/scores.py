"""PSNR and SSIM of pictures, as the pack's own node ASDMCompareImages has them."""

import torch

# Equal pictures count as this many dB, so that a mean over pictures stays finite.
PSNR_OF_EQUAL = 100.0


def scores(pack, reference: torch.Tensor, pictures: torch.Tensor) -> list[tuple[float, float]]:
    """(PSNR, SSIM) of each picture [batch, height, width, 3] against its reference."""
    found = []
    for expected, given in zip(reference, pictures, strict=True):
        psnr, ssim, _ = pack.scores.compare(expected[None], given[None], gain=1.0)
        found.append((min(psnr, PSNR_OF_EQUAL), ssim))
    return found
