"""Calls a hosted UNet as the sampler would, on a loaded patcher."""

import torch


def load(*patchers, offload: bool = False):
    """Makes `patchers` the loaded ones: what is not has every weight cast at its use, and is slower. `offload`: as on a
    machine without room for one layer, so that every weight is cast and patched at the time of use."""
    import comfy.model_management
    comfy.model_management.unload_all_models()
    if offload:
        for patcher in patchers:
            patcher.patch_model(device_to=patcher.load_device, lowvram_model_memory=1, load_weights=True)
        return
    comfy.model_management.load_models_gpu(list(patchers))


def unload(patcher):
    import comfy.model_management
    comfy.model_management.unload_all_models()
    patcher.detach()


def transformer_options(patcher, inputs) -> dict:
    """What the host's sampler would hand to the UNet: patches of the patcher, sigmas, and the chunks of the batch."""
    sampling = patcher.model.model_sampling
    options = dict(patcher.model_options["transformer_options"])
    options["sigmas"] = sampling.sigma(inputs["timesteps"])
    return options


def forward(patcher, inputs, control=None, run_options=None) -> torch.Tensor:
    """One call of the loaded UNet; [batch, channels, height, width] in fp32. `run_options`: what a sampling run adds to
    the transformer options."""
    with torch.inference_mode():
        torch.manual_seed(11)  # HyperTile draws its tile sizes from the global generator
        return patcher.model.diffusion_model(
            inputs["x"], inputs["timesteps"], context=inputs["context"], y=inputs["y"],
            control=None if control is None else control(inputs),
            transformer_options={**transformer_options(patcher, inputs), **(run_options or {})}).float()


def sample(patcher, sampler: str, steps: int = 10, cfg: float = 6.0, height: int = 16, width: int = 16,
           seed: int = 42, scheduler: str = "normal") -> torch.Tensor:
    """Latents of a run through the host's own KSampler with random text features."""
    import comfy.sample
    config = patcher.model.model_config.unet_config
    generator = torch.Generator().manual_seed(seed)

    def cond():
        extra = {}
        if config.get("adm_in_channels"):
            extra["pooled_output"] = torch.randn(1, 1280, generator=generator)
        return [[torch.randn(1, 77, config["context_dim"], generator=generator), extra]]

    positive, negative = cond(), cond()
    latent = torch.zeros(1, 4, height, width)
    with torch.inference_mode():
        noise = comfy.sample.prepare_noise(latent, seed)
        return comfy.sample.sample(patcher, noise, steps, cfg, sampler, scheduler, positive, negative, latent,
                                   disable_pbar=True, seed=seed)
