"""ResBlocks with ME-CondConv, over the host's own layers: what the engine falls back to and is held against."""

import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepBlock

from .. import native

_LAYERS = {"conv1": "in_layers", "conv2": "out_layers"}


class ExpertsResBlock(TimestepBlock):
    """Takes over the layers of a ResBlock of the host's, under their names, so that LoRA finds expert 0. The other
    experts and the routers stand beside them."""

    def __init__(self, res_block):
        super().__init__()
        for name, child in res_block.named_children():
            self.add_module(name, child)
        self._sites = {}

    def add_experts(self, convolution: str, site: dict, emb_channels: int, operations):
        """Makes `convolution` ("conv1", "conv2") the ME-CondConv that `site` of the UNetSpec says; its leaves are
        without values."""
        kept = getattr(self, _LAYERS[convolution])[-1]
        factory = {"device": kept.weight.device, "dtype": kept.weight.dtype}
        experts = torch.nn.ModuleDict({
            str(number): operations.Conv2d(kept.in_channels, kept.out_channels, 3, padding=1, **factory)
            for number in range(1, site["experts"])})
        width = emb_channels if site["source"] == "time" else kept.in_channels
        self.add_module(f"{convolution}_experts", experts)
        self.add_module(f"{convolution}_routing", operations.Linear(width, site["experts"], **factory))
        self._sites[convolution] = site

    def forward(self, x, emb):
        """x [batch, channels, height, width], emb [batch, emb_channels]"""
        h = self._convolved("conv1", x, emb)
        h = h + self.emb_layers(emb).type(h.dtype)[..., None, None]
        return self.skip_connection(x) + self._convolved("conv2", h, emb)

    def _convolved(self, convolution: str, h, emb):
        """`h` through the layers around `convolution`. The outputs are mixed and not the kernels, which is the same, as
        convolutions are linear in them."""
        *before, kept = getattr(self, _LAYERS[convolution])
        for layer in before:
            h = layer(h)
        if convolution not in self._sites:
            return kept(h)
        shares = self._shares(convolution, h, emb).to(h.dtype)
        experts = [kept, *getattr(self, f"{convolution}_experts").values()]
        return sum(share[:, None, None, None] * expert(h) for share, expert in zip(shares.T, experts, strict=True))

    def _shares(self, convolution: str, h, emb):
        """[batch or 1, experts]"""
        site = self._sites[convolution]
        read = emb if site["source"] == "time" else h.mean((2, 3))
        if site["source"] == "input_shared":
            read = read.mean(0, keepdim=True)
        values = getattr(self, f"{convolution}_routing")(read).float() / site["temperature"]
        return values.sigmoid() if site["routing"] == "sigmoid" else values.softmax(1)


def add_experts(unet, spec, operations):
    """Gives the ResBlocks of `unet` the ME-CondConv that its UNetSpec has."""
    keys = dict(native.native_module().UNet(spec).layers())
    for site in spec.fields().get("me_cond_conv", ()):
        address, _, convolution = site["site"].rpartition(".")
        parent, _, name = keys[address].rpartition(".")
        block = unet.get_submodule(parent)
        if not isinstance(block._modules[name], ExpertsResBlock):
            block._modules[name] = ExpertsResBlock(block._modules[name])
        block._modules[name].add_experts(convolution, site, 4 * spec.model_channels, operations)
