"""A small native UNet with random weights, called as the seam calls it, without a host."""

import torch

TOKENS = 5


class NoHooks:
    """What the engine asks of a call without hooks (native/unet/hooks.h)."""

    follows_blocks = hooks_embedding = hooks_input_blocks = hooks_output_blocks = False
    hooks_middle_block = hooks_transformers = overrides_attention = False

    def poll(self):
        pass


class TinyUNet:
    """SD1.5's structure at width 32."""

    def __init__(self, native, device="cpu", dtype=torch.float32):
        self._native = native
        self._device = device
        self._dtype = dtype
        self.unet = native.UNet(native.preset_spec("sd15", 32))
        self.weights = self.make_weights()

    def settings(self, asked: dict):
        """Native settings of an inheritance by the names of the nodes' inputs."""
        return self._native.InheritanceSettings(self.unet, self._native.InheritanceRequest(**asked))

    def make_weights(self):
        """The same values at every call, in memory of their own."""
        generator = torch.Generator().manual_seed(0)

        def draw(*shape):
            return (torch.randn(shape, generator=generator) * 0.02).to(self._device, self._dtype)

        leaves = [(draw(*shape), draw(shape[0]) if has_bias else None) for _, shape, has_bias in self.unet.leaves()]
        return self._native.HostWeights(self.unet, leaves, None)

    def inputs(self, height=8, width=8, batch=1, tokens=TOKENS, seed=1):
        """The tensors of one call, by name."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(batch, 4, height, width, generator=generator)
        context = torch.randn(batch, tokens, 768, generator=generator)
        return {"x": x.to(self._device, self._dtype),
                "timesteps": torch.full((batch,), 501.0 - seed, device=self._device),
                "context": context.to(self._device, self._dtype)}

    def call(self, inputs, features=None, control=None, profile=None):
        with torch.no_grad():
            return self.unet.forward(
                **inputs,
                y=None,
                control=control or {},
                weights=self.weights,
                hooks=NoHooks(),
                features=features or self._native.CallFeatures(),
                profile=profile,
            )

    def forward(self, height=8, width=8, batch=1, **call):
        """One call on fixed inputs."""
        return self.call(self.inputs(height, width, batch), **call)
