"""A small UNet of the host's with random weights, sampled by the host itself in this process."""

import json
import sys
from types import SimpleNamespace

import torch
from repository import REPO

sys.path += [str(REPO / "tests" / "host"), str(REPO / "tests" / "benchmarks")]
from torchvision_operators import declare_torchvision_operators  # noqa: E402

SIZE = 16  # of the latent
TOKENS = 77


class HostedModel:
    """SD1.5's structure at width 32, and what tests do with it. `glue`: the fixture of that name."""

    def __init__(self, glue):
        self._operators = declare_torchvision_operators()  # they live as long as this does
        from support import models
        pack = SimpleNamespace(**{name: glue(name) for name in ("loader", "native", "seam", "host")})
        self.seam = pack.seam
        self.host = pack.host.comfy_host()
        self.patcher = models.make_patcher(pack, "sd15", 32)

    def sampler(self, name="euler"):
        import comfy.samplers
        return comfy.samplers.sampler_object(name)

    def cond(self, seed, **extra):
        generator = torch.Generator().manual_seed(seed)
        return [[torch.randn(1, TOKENS, 768, generator=generator), extra]]

    def sample(self, patcher, sampler=None, positive=None, negative=None, steps=8, callback=lambda *_: None):
        """The latent that the host's sampler gives."""
        import comfy.sample
        import comfy.samplers
        latent = torch.zeros(1, 4, SIZE, SIZE)
        sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "normal", steps)
        with torch.inference_mode():
            noise = comfy.sample.prepare_noise(latent, 3)
            return comfy.sample.sample_custom(
                patcher, noise, 5.0, sampler or self.sampler(), sigmas, positive or self.cond(1),
                negative or self.cond(2), latent, callback=callback, disable_pbar=True, seed=3)

    def report(self, patcher, latent) -> dict:
        return json.loads(self.host.run_report(patcher, {"samples": latent}))
