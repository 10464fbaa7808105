"""The demo model in this process: loaded, sampled and decoded by the host's own code, several pictures a batch."""

import sys
from pathlib import Path

import torch
from support import hosted

sys.path.append(str(hosted.ROOT / "demo"))

CFG = 4.0
SCHEDULER = "normal"
LATENT = 16  # height and width; the model was trained on this size alone


class DemoModel:
    """`host_model` is the ModelPatcher of the host; what is sampled is derived from it by the caller. `prompts`: that
    the model was trained on."""

    def __init__(self, pack, unet: Path | None = None, vae: Path | None = None, prompts: list[str] | None = None):
        import comfy.sd
        import comfy.utils
        from demo_models import TEXT_ENCODER, UNET, VAE, demo_models
        from features import encode_prompt, load_text_encoder
        demo_models()  # makes the text encoder where it is missing
        unet = str(unet or UNET)
        self.host_model = pack.host.comfy_host().load_unet(unet, pack.native.native_module().read_unet_file(unet),
                                                           "default")
        self._vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(vae or VAE)))
        self.prompts = prompts or captions()
        self._clip, self._encode_prompt = load_text_encoder(TEXT_ENCODER), encode_prompt
        self._encoded = {}

    def _features(self, prompt: str) -> torch.Tensor:
        if prompt not in self._encoded:
            with torch.inference_mode():
                self._encoded[prompt] = self._encode_prompt(self._clip, prompt)[0][0]
        return self._encoded[prompt]

    def conditioning(self, prompts: list[str]) -> list:
        """The host's CONDITIONING with one prompt a picture: features [len(prompts), 77, 768]."""
        return [[torch.cat([self._features(prompt) for prompt in prompts]), {}]]

    def noise(self, seeds: list[int]) -> torch.Tensor:
        """What a KSampler with batch size 1 draws from each seed, [len(seeds), 4, LATENT, LATENT]."""
        import comfy.sample
        empty = torch.zeros(1, 4, LATENT, LATENT)
        return torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds])

    def sample(self, model, prompts: list[str], seeds: list[int], sampler: str, steps: int,
               latents: torch.Tensor | None = None, denoise: float = 1.0, cfg: float = CFG) -> torch.Tensor:
        """Latents of one run of the host's KSampler; `latents` are what image-to-image starts from."""
        import comfy.sample
        noise = self.noise(seeds)
        start = torch.zeros_like(noise) if latents is None else latents
        with torch.inference_mode():
            return comfy.sample.sample(
                model, noise, steps, cfg, sampler, SCHEDULER, self.conditioning(prompts),
                self.conditioning([""] * len(prompts)), start, denoise=denoise, disable_pbar=True, seed=seeds[0])

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures [batch, height, width, 3] in 0..1."""
        with torch.inference_mode():
            return self._vae.decode(latents)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self._vae.encode(pictures)


def captions() -> list[str]:
    return (hosted.ROOT / "demo" / "captions.txt").read_text(encoding="utf-8").splitlines()
