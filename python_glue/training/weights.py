"""Weights of a teacher and its student as tables of tensors, by their names in the full UNet."""

import torch

from .. import native


def source(unet, tensors: dict[str, torch.Tensor]):
    """A WeightSource for `unet` over these tensors themselves, so that gradients reach them."""
    leaves = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"] if has_bias else None)
              for name, _, has_bias in unet.leaves()]
    return native.native_module().HostWeights(unet, leaves, None)


def taken_from(unet, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """fp32 copies of those of `tensors` that `unet` has."""
    taken = {}
    for name, _, has_bias in unet.leaves():
        for part in ("weight", "bias") if has_bias else ("weight",):
            taken[f"{name}.{part}"] = tensors[f"{name}.{part}"].detach().float().clone()
    return taken


def calibrate(distillation, teacher: dict[str, torch.Tensor], student: dict[str, torch.Tensor], batches: list[dict],
              poll=lambda: None):
    """Writes into `student` what mends each of its cuts in the mean over `batches` (native/assembly/calibration.h).
    `poll()` is asked before each batch of each cut; what it raises ends the work."""
    core = native.native_module()

    def moments_of(cut, batch):
        poll()
        return core.cut_moments(cut, batch, distillation.teacher, source(distillation.teacher, teacher),
                                distillation.student, source(distillation.student, student))

    for cut in core.cuts_of(distillation.teacher, distillation.student):
        with torch.no_grad():
            moments = sum(moments_of(cut, batch) for batch in batches)
            gain, shift = (values.float() for values in core.fit_cut(moments))
            weight, bias = student[f"{cut.leaf}.weight"], student[f"{cut.leaf}.bias"]
            weight.mul_(gain.view(-1, *[1] * (weight.dim() - 1)))
            bias.mul_(gain).add_(shift)
