"""A small native UNet with random weights, called as the seam calls it, without a host."""

import torch

TOKENS = 5


class NoHooks:
    """What the engine asks of a call without hooks (native/unet/hooks.h)."""

    follows_blocks = hooks_embedding = hooks_input_blocks = hooks_output_blocks = hooks_transformers = False

    def poll(self):
        pass


class TinyUNet:
    """SD1.5's structure at width 32."""

    def __init__(self, native):
        self._native = native
        self.unet = native.UNet(native.preset_spec("sd15", 32))
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return torch.randn(shape, generator=generator) * 0.02

        leaves = [(draw(*shape), draw(shape[0]) if has_bias else None) for _, shape, has_bias in self.unet.leaves()]
        self._weights = native.HostWeights(self.unet, leaves, None)

    def forward(self, height=8, width=8, batch=1, control=None, features=None, profile=None):
        """One call on fixed inputs."""
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return self.unet.forward(
                x=torch.randn(batch, 4, height, width, generator=generator),
                timesteps=torch.full((batch,), 500.0),
                context=torch.randn(batch, TOKENS, 768, generator=generator),
                y=None,
                control=control or {},
                weights=self._weights,
                hooks=NoHooks(),
                features=features or self._native.CallFeatures(),
                profile=profile,
            )
