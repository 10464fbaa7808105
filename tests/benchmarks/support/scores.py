"""PSNR and SSIM of pictures, by the pack's own node ASDMCompareImages."""

import torch
from support import hosted  # noqa: F401  puts tests/host on the path

from image_scores import read_scores  # isort: skip

# Equal pictures count as this many dB, so that a mean over pictures stays finite.
PSNR_OF_EQUAL = 100.0


def scores(pack, reference: torch.Tensor, pictures: torch.Tensor) -> list[tuple[float, float]]:
    """(PSNR, SSIM) of each picture [batch, height, width, 3] against its reference."""
    execute = pack.native.native_module().execute
    host = pack.host.comfy_host()
    found = []
    for pair in zip(reference, pictures, strict=True):
        expected, given = (picture[None].float().contiguous().numpy() for picture in pair)
        outputs = execute("ASDMCompareImages", host, {"reference": expected, "image": given})["outputs"]
        psnr, ssim = read_scores(outputs[0])
        found.append((min(psnr, PSNR_OF_EQUAL), ssim))
    return found
