"""The weights that the leaves of new ME-CondConv start from. Needs no ComfyUI, so that training without it has them
too."""

import torch

from ..unet_file import expected_tensors


def start_tensors(spec, starts: list[dict], kept: dict[str, torch.Tensor],
                  teacher: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of the leaves in `starts` by name, in memory of their own; `spec` and `starts` as
    start_me_cond_conv() of the native module gives them. `kept`, `teacher`: weights of the UNet that gets the experts,
    and of the one that its pruned convolutions come from, by checkpoint name."""
    shapes = expected_tensors(spec)
    like = next(iter(kept.values()))
    tensors = {}
    for start in starts:
        weight, bias = f"{start['leaf']}.weight", f"{start['leaf']}.bias"
        if start["bias"]:
            tensors[weight] = like.new_zeros(shapes[weight])
            tensors[bias] = like.new_tensor(start["bias"])
            continue
        source = teacher if start["of_teacher"] else kept
        for kind, name in (("weight", weight), ("bias", bias)):
            tensor = source[f"{start['from']}.{kind}"].detach()
            if start["shares"]:
                tensor = _rest_of(tensor, start["shares"], [tensors[f"{leaf}.{kind}"] for leaf in start["beside"]])
            elif kind == "weight":
                tensor = _perturbed(tensor, start)
            tensors[name] = tensor.to(like, copy=True)
    return tensors


def _rest_of(whole: torch.Tensor, shares: list[float], beside: list[torch.Tensor]) -> torch.Tensor:
    """What, mixed by `shares` with the tensors `beside` it, makes `whole`."""
    rest = whole.float()
    for share, tensor in zip(shares[1:], beside, strict=True):
        rest = rest - share * tensor.to(rest)
    return rest / shares[0]


def _perturbed(weight: torch.Tensor, start: dict) -> torch.Tensor:
    """`weight` with the noise that `start` says."""
    if not start["perturbation"]:
        return weight
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(start["seed"]))  # alike on every device
    return weight.float() + noise.to(weight.device) * (start["perturbation"] * weight.float().std())
