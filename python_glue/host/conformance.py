"""Whether the host's own classes still do what the engine does in their place.

A host that changes the work of a class of its own looks, from outside, like the one before. So a small UNet of the
host's classes with random weights is run both ways, once for each family and whenever functions of the host's or of
torch's stand in places where others stood: where the results differ, the class that makes the difference is left to the
host in every UNet.
"""

import logging

import comfy.ops
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from .. import native
from .hooks import HostHooks, options_for_cpu
from .host_code import CONTAINERS, LEAVES, HostCode
from .hosted_unet import HostedUNet
from .structure import structure_of
from .unet_config import make_unet
from .weights import bind

_PRESETS = {"sd1": "sd15", "sd2": "sd21", "sdxl": "sdxl", "sdxl_refiner": "sdxl_refiner"}
_WIDTH = 32  # of the small UNet: the least that its norms allow
_SIZE = 8  # of its latent
_TOKENS = 3
_TOLERANCE = 1e-4  # relative L2 in fp32; another sum in the same place is some 1e-6 away
# One of these alone is suspected before all are; the smallest part first.
_SUSPECTS = (attention.CrossAttention, attention.FeedForward, attention.BasicTransformerBlock,
             attention.SpatialTransformer, openaimodel.ResBlock, openaimodel.Upsample, openaimodel.Downsample)
_MOST_FINDINGS = 8  # of a family: what was put in place and taken back is found again
_found = {}  # family -> [(the host's functions that it holds for, classes -> why)]
log = logging.getLogger("asdm")


def distrusted_classes(hosted: HostedUNet) -> dict:
    """Classes of the host whose work is not what the engine does -> why. UNetModel among them: nothing can be told."""
    now = HostCode().hosts_own((*CONTAINERS, *LEAVES, openaimodel.UNetModel))
    findings = _found.setdefault(hosted.family, [])
    for functions, distrusted in findings:
        if all(place in functions and _same(functions[place], own) for place, own in now.items()):
            return distrusted
    findings[_MOST_FINDINGS - 1:] = []
    findings.insert(0, (now, _examined(hosted.family)))
    return findings[0][1]


def _same(one: tuple, other: tuple) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))  # others may answer == with anything


def _examined(family: str) -> dict:
    with torch.inference_mode():
        try:
            twin = _Twin(family)
        except Exception as fault:  # whatever another pack's code raises: it may want another device, or other sizes
            return _whole_unet(f"this host's UNet cannot be tried ({fault})")
        if twin.agrees({}):
            return {}
        for suspect in _SUSPECTS:
            reason = f"this host's {suspect.__name__} does something else than the engine knows"
            if twin.agrees({suspect: reason}):
                log.warning("%s; it runs in the host's own code", reason)
                return {suspect: reason}
    return _whole_unet("this host's UNet does something else than the engine knows")


def _whole_unet(reason: str) -> dict:
    log.warning("%s; it runs in the host's own code", reason)
    return {openaimodel.UNetModel: reason}


class _Twin:
    """A small UNet of the host's own classes, and a call of it."""

    def __init__(self, family: str):
        spec = native.native_module().preset_spec(_PRESETS[family], _WIDTH)
        self._hosted = HostedUNet(spec)
        self._module = make_unet(spec, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return torch.randn(shape, generator=generator)

        for parameter in self._module.parameters():  # such that what each part does is of the size of its input
            inputs = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.copy_(draw(*parameter.shape) / inputs ** 0.5)
        self._inputs = {"x": draw(2, spec.in_channels, _SIZE, _SIZE), "timesteps": torch.tensor([10.0, 900.0]),
                        "context": draw(2, _TOKENS, spec.context_dim)}
        if spec.adm_in_channels:
            self._inputs["y"] = draw(2, spec.adm_in_channels)
        self._expected = self._by_host()

    def _by_host(self) -> torch.Tensor:
        given = {name: tensor.clone() for name, tensor in self._inputs.items()}
        return self._module._forward(**given, transformer_options=options_for_cpu())

    def agrees(self, distrusted: dict) -> bool:
        """Whether the engine, which leaves the `distrusted` classes to the host, gives what the host does."""
        structure = structure_of(self._module, self._hosted, distrusted)
        if structure.walk_reason:
            return True  # another pack's doing, which every call sees for itself
        binding = bind(self._module, self._hosted.unet, structure, torch.device("cpu"), {})
        if binding.host is not None:
            binding.host.begin(options_for_cpu(), {})
        hooks = HostHooks({}, self._module.model_channels, None)
        hooks.overrides_attention = False
        found = self._hosted.unet.forward(
            **{"y": None} | self._inputs, control={}, weights=binding.source,
            hooks=hooks, features=native.native_module().CallFeatures(),
            host=binding.host_native)
        return float((found - self._expected).norm() / self._expected.norm()) <= _TOLERANCE
