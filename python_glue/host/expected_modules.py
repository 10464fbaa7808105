"""What the host itself makes of a UNetSpec. A module that differs from that does something else than the engine."""

import functools
from dataclasses import dataclass

import comfy.ops
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from .unet_config import make_unet

# Values by which attributes are compared; others (tensors, modules, lists of patches) are looked at on their own.
PLAIN = (bool, int, float, str, tuple, type(None))


@dataclass(frozen=True)
class ExpectedModule:
    kind: type
    children: tuple[str, ...]
    settings: dict  # the plain attributes


def expected_modules(spec) -> dict[str, ExpectedModule]:
    """By path in the diffusion model of a UNetSpec, which is made without memory."""
    # What a class makes of itself may be replaced, and come back.
    return _made(spec, tuple(value.__init__ for module in (attention, openaimodel) for value in vars(module).values()
                             if isinstance(value, type)))


@functools.lru_cache(maxsize=8)
def _made(spec, makers: tuple) -> dict[str, ExpectedModule]:
    unet = make_unet(spec, dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init)
    return {path: ExpectedModule(type(part), tuple(part._modules), {
        name: value for name, value in vars(part).items() if isinstance(value, PLAIN)})
        for path, part in unet.named_modules()}
