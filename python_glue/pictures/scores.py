"""How far pictures are from their references."""

import math

import torch

WINDOW, SIGMA = 11, 1.5  # of SSIM, in pixels (Wang et al. 2004)
C1, C2 = 0.01 ** 2, 0.03 ** 2


def compare(reference: torch.Tensor, image: torch.Tensor, gain: float) -> tuple[float, float | None, torch.Tensor]:
    """(PSNR, SSIM, the absolute difference times `gain`) of IMAGEs [batch, height, width, channels]. ValueError where
    they differ in number or size."""
    for name, pictures in (("reference", reference), ("image", image)):
        if not isinstance(pictures, torch.Tensor) or pictures.ndim != 4:
            raise ValueError(f"ASDMCompareImages.{name}: expected an IMAGE as tensor [batch, height, width, channels], "
                             f"got {_text(pictures)}")
    if not reference.numel():
        raise ValueError(f"ASDMCompareImages.reference: expected at least one pixel, got {_text(reference)}")
    if reference.shape != image.shape:
        raise ValueError(f"ASDMCompareImages.image: expected {_text(reference)}, as the reference has, got "
                         f"{_text(image)}")
    reference, image = (pictures.detach().to("cpu", torch.float32) for pictures in (reference, image))
    difference = ((reference - image).abs() * gain).clamp(max=1)
    return psnr(reference, image), ssim(reference, image), difference


def _text(pictures) -> str:
    if not isinstance(pictures, torch.Tensor):
        return f"an object of type {type(pictures).__name__}"
    if pictures.ndim != 4:
        return f"a tensor {list(pictures.shape)}"
    batch, height, width, channels = pictures.shape
    return f"a batch of {batch} with {width} x {height} pixels of {channels} channels"


def psnr(reference: torch.Tensor, image: torch.Tensor) -> float:
    """dB from the squared error averaged over the batch, of values 0..1; inf where both are equal."""
    error = float((reference.double() - image.double()).square().mean())
    return -10 * math.log10(error) if error else math.inf


def ssim(reference: torch.Tensor, image: torch.Tensor) -> float | None:
    """Structural similarity of pictures [batch, height, width, channels] of values 0..1: the mean over pictures,
    channels and all places where the Gaussian window fits. None where it fits nowhere."""
    one, other = (pictures.double().movedim(-1, 1).flatten(0, 1)[:, None] for pictures in (reference, image))
    if min(one.shape[-2:]) < WINDOW or not one.numel():
        return None
    line = torch.exp(-((torch.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2 / 2).to(one)
    window = (line[:, None] * line / line.sum() ** 2)[None, None]

    def blur(plane: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(plane, window)

    mean_one, mean_other = blur(one), blur(other)
    variances = blur(one * one) - mean_one ** 2 + blur(other * other) - mean_other ** 2
    covariance = blur(one * other) - mean_one * mean_other
    found = ((2 * mean_one * mean_other + C1) * (2 * covariance + C2)
             / ((mean_one ** 2 + mean_other ** 2 + C1) * (variances + C2)))
    return float(found.mean())
