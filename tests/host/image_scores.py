"""Reads what ASDMCompareImages says."""

import re

_SCORES = re.compile(r"PSNR (inf|[\d.]+) dB, SSIM ([\d.]+)")


def read_scores(text: str) -> tuple[float, float]:
    """(PSNR in dB, SSIM) in the node's text; PSNR is infinite for equal pictures."""
    psnr, ssim = _SCORES.search(text).groups()
    return float(psnr), float(ssim)
