"""Host models of the published structures with random weights, at any width, and random inputs for them."""


import torch


def random_unet_(diffusion_model, seed: int = 0):
    """Fills every parameter as torch initialises its layers (uniform within 1 / sqrt(fan in)); norms get a jitter
    around 1 and 0, so that a mix-up of their weights shows."""
    generator = torch.Generator().manual_seed(seed)
    modules = dict(diffusion_model.named_modules())
    with torch.no_grad():
        for name, parameter in diffusion_model.named_parameters():
            module_name, _, kind = name.rpartition(".")
            weight = getattr(modules[module_name], "weight", parameter)
            values = torch.rand(parameter.shape, generator=generator) * 2 - 1
            if weight.dim() > 1:
                values *= weight[0].numel() ** -0.5
            else:
                values = 0.1 * values + (1.0 if kind == "weight" else 0.0)
            parameter.copy_(values)


def spec(pack, preset: str, model_channels: int = 0, in_channels: int = 4):
    """The UNetSpec of a preset at `model_channels` (0: as published)."""
    return pack.native.native_module().preset_spec(preset, model_channels).replace(in_channels=in_channels)


def make_patcher(pack, preset: str, model_channels: int = 0, dtype=torch.float32, seed: int = 0,
                 in_channels: int = 4, fill=random_unet_):
    """A ModelPatcher of the host around a UNet that `fill(diffusion_model, seed)` fills."""
    import comfy.model_management
    import comfy.model_patcher
    config = pack.loader.model_config(spec(pack, preset, model_channels, in_channels))
    config.set_inference_dtype(dtype, None)
    model = config.get_model({}, "")
    fill(model.diffusion_model, seed)
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, load_device=device,
                                            offload_device=comfy.model_management.unet_offload_device())


def assembled(pack, full, preset: str):
    """What ASDMAssembleUNet makes of the MODEL `full`; it runs in the native engine where `full` does."""
    node = {"model": full, "preset": preset}
    return pack.native.native_module().execute("ASDMAssembleUNet", pack.host.comfy_host(), node)["outputs"][0]


def random_inputs(patcher, batch: int = 2, height: int = 16, width: int = 16, tokens: int = 77, seed: int = 1):
    """Arguments of a UNet call in the model's dtype, where it computes."""
    dtype = patcher.model.manual_cast_dtype or patcher.model.get_dtype()
    inputs = inputs_of(patcher.model.model_config.unet_config, dtype, batch, height, width, tokens, seed)
    return {name: None if value is None else value.to(patcher.load_device) for name, value in inputs.items()}


def inputs_of(config: dict, dtype, batch: int = 2, height: int = 16, width: int = 16, tokens: int = 77,
              seed: int = 1):
    """The same for a UNet that is described by the host's `unet_config` alone."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    adm = config.get("adm_in_channels") or 0
    return {
        "x": draw(batch, config["in_channels"], height, width),
        "timesteps": torch.linspace(901.0, 13.5, batch),
        "context": draw(batch, tokens, config["context_dim"]),
        "y": draw(batch, adm) if adm else None,
    }
