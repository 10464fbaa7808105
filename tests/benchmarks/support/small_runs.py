"""Small models of the real host in this process, and runs on them that are known by name, so that each can be made
again and compared bit for bit.
"""

import json

import torch

from . import hosted, models

STEPS = 4
INHERITANCE = {"level": "block", "sites": "out.8", "mode": "uniform", "interval": 2}


class SmallRuns:
    """SD1.5, SDXL and a UNet that lacks parts, at width 32, behind the pack's own nodes' calls."""

    def __init__(self):
        hosted.start_host("--use-pytorch-cross-attention")
        self.pack = hosted.load_pack()
        self.host = self.pack.host.comfy_host()
        sd15, sdxl = (models.make_patcher(self.pack, preset, 32) for preset in ("sd15", "sdxl"))
        self.stock = {"sd15": sd15, "sdxl": sdxl, "s0_s1": models.assembled(self.pack, sd15, "s0_s1")}
        self.native = {name: self.host.with_native_engine(patcher) for name, patcher in self.stock.items()}

    def inheriting(self, model, **changes):
        return self.host.with_inheritance(model, self.pack.request(INHERITANCE | changes))

    def following(self, model, latent):
        """The MODEL that follows the plan of the run of `model` which gave `latent`."""
        report = json.loads(self.host.run_report(model, {"samples": latent}))
        plan = self.pack.native.native_module().Plan.from_json(report["plan"])
        return self.host.with_inheritance(self.native["sd15"], plan)

    @staticmethod
    def with_lora(model, strength: float = 0.5):
        """A clone with patches of each query."""
        generator = torch.Generator().manual_seed(4)
        patches = {name: ("diff", (torch.randn(weight.shape, generator=generator) * 0.1,))
                   for name, weight in model.model.named_parameters() if name.endswith("to_q.weight")}
        patched = model.clone()
        patched.add_patches(patches, strength)
        return patched


def sample(model, size: int = 8, sampler: str = "euler", steps: int = STEPS, seed: int = 42, callback=None):
    """The latent [1, 4, size, size] that the host's sampler gives, with random text features that `seed` fixes."""
    import comfy.sample
    config = model.model.model_config.unet_config
    generator = torch.Generator().manual_seed(seed)

    def cond():
        extra = {"pooled_output": torch.randn(1, 1280, generator=generator)} if config.get("adm_in_channels") else {}
        return [[torch.randn(1, 77, config["context_dim"], generator=generator), extra]]

    positive, negative = cond(), cond()
    latent = torch.zeros(1, 4, size, size)
    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(latent, seed)
        return comfy.sample.sample(model, noise, steps, 5.0, sampler, "normal", positive, negative, latent,
                                   callback=callback, disable_pbar=True, seed=seed)
