"""Things that users put around a UNet, applied by the host's own nodes to a random model, for parity tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Case:
    """One way to call a UNet. `apply` turns a patcher into the patched one; `control` makes fresh ControlNet residuals
    for the call's inputs."""

    name: str
    apply: Callable = lambda patcher: patcher
    control: Callable | None = None
    inputs: dict = field(default_factory=dict)
    acts: bool = True  # the feature must change the output
    offload: bool = False  # leave all weights on the offload device, patched at the time of use


def _model_of(result):
    """The MODEL that a node of either API returned."""
    return result.args[0] if hasattr(result, "args") else result[0]


def _free_u(patcher):
    from comfy_extras.nodes_freelunch import FreeU_V2
    return _model_of(FreeU_V2().patch(patcher, 1.3, 1.4, 0.9, 0.2))


def _deep_shrink(patcher):
    from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
    return _model_of(
        PatchModelAddDownscale.execute(patcher, 3, 2.0, 0.0, 1.0, True, "bicubic", "bicubic"))


def _hyper_tile(patcher):
    from comfy_extras.nodes_hypertile import HyperTile
    # Tiles of 4, the smallest: 4 x 4 of them in a latent of 16.
    return _model_of(HyperTile.execute(patcher, 32, 2, 1, False))


def _attention_replace(patcher):
    """As IPAdapter (attn2) and reference-style packs (attn1) do it, on some blocks, by both kinds of key."""
    from comfy.ldm.modules.attention import optimized_attention

    def attend_and_shift(q, k, v, extra_options):
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        return 3.0 * out + 0.1 * extra_options["block_index"] + 0.5 * out.mean(dim=1, keepdim=True)

    patched = patcher.clone()
    patched.set_model_attn2_replace(attend_and_shift, "input", 4)
    patched.set_model_attn2_replace(attend_and_shift, "output", 5, 0)
    patched.set_model_attn1_replace(attend_and_shift, "middle", 0)
    return patched


def _attention_patches(patcher):
    """attn1/attn2 input and output patches and the patch between them, as Gligen, SAG and IPAdapter-likes use them."""
    patched = patcher.clone()
    patched.set_model_attn1_patch(lambda n, context, value, extra: (n, context * 1.1, value))
    patched.set_model_attn2_patch(lambda n, context, value, extra: (n, context, value * 0.9))
    patched.set_model_attn1_output_patch(lambda n, extra: n * 1.05)
    patched.set_model_attn2_output_patch(lambda n, extra: n + 0.01 * extra["dim_head"] ** 0.5)
    patched.set_model_patch(lambda x, extra: x * 0.98, "middle_patch")
    return patched


def _attention_override(patcher):
    def override(function, q, k, v, heads, **kwargs):
        return function(q * 4.0, k, v * 2.0, heads, **kwargs)

    patched = patcher.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = override
    return patched


def _embedding_patch(patcher):
    patched = patcher.clone()
    patched.set_model_patch(lambda emb, channels, options: emb + 0.01 * channels ** 0.5, "emb_patch")
    return patched


def lora_of(patcher, rank: int = 4, seed: int = 3) -> dict:
    """A LoRA state dict on one linear and one convolution of every third leaf of the UNet."""
    generator = torch.Generator().manual_seed(seed)
    lora = {}
    weights = [(name, weight) for name, weight in patcher.model.diffusion_model.named_parameters()
               if name.endswith(".weight") and weight.dim() in (2, 4)]
    for name, weight in weights[::3]:
        prefix = f"diffusion_model.{name[:-len('.weight')]}"
        out, fan_in = weight.shape[0], weight[0].numel()
        lora[f"{prefix}.lora_up.weight"] = torch.randn(out, rank, generator=generator) * rank ** -0.5
        lora[f"{prefix}.lora_down.weight"] = torch.randn(rank, fan_in, generator=generator) * fan_in ** -0.5 * 0.2
        if weight.dim() == 4:
            lora[f"{prefix}.lora_up.weight"] = lora[f"{prefix}.lora_up.weight"][..., None, None]
            lora[f"{prefix}.lora_down.weight"] = lora[f"{prefix}.lora_down.weight"].view(rank, *weight.shape[1:])
    return lora


def with_lora(patcher, strength: float = 1.0):
    """`patcher` with that LoRA."""
    import comfy.sd
    patched, _ = comfy.sd.load_lora_for_models(patcher, None, lora_of(patcher), strength, 0.0)
    return patched


def hinted_control_net(patcher, strength: float = 0.8, seed: int = 5):
    """The host's ControlNet around a random control network that fits `patcher`, with a hint for its whole run."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    from support.models import random_unet_
    config = dict(patcher.model.model_config.unet_config)
    for name in ("out_channels", "transformer_depth_output", "device"):
        config.pop(name, None)
    dtype = config.pop("dtype", torch.float32)
    network = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, dtype=dtype,
                                         operations=comfy.ops.disable_weight_init)
    random_unet_(network, seed)
    control = comfy.controlnet.ControlNet(network.to(patcher.load_device), load_device=patcher.load_device)
    return control.set_cond_hint(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)), strength)


def control_net(patcher):
    """Residuals of that ControlNet for one call's inputs."""
    control = hinted_control_net(patcher)

    def residuals(inputs):
        sampling = patcher.model.model_sampling
        control.pre_run(patcher.model, lambda percent: sampling.percent_to_sigma(percent))
        cond = {"c_crossattn": inputs["context"], "y": inputs["y"]}
        if inputs["y"] is None:
            del cond["y"]
        sigma = sampling.sigma(inputs["timesteps"])
        return control.get_control(inputs["x"], sigma, cond, inputs["x"].shape[0], {})

    return residuals


def weight_cases() -> list[Case]:
    """Those in which the weights alone matter, and so their size."""
    return [Case("plain", acts=False), Case("LoRA resident", with_lora)]


def cases(patcher) -> list[Case]:
    control = control_net(patcher)
    return [
        Case("plain", acts=False),
        Case("odd size", acts=False, inputs={"height": 17, "width": 23}),
        Case("batch 3", acts=False, inputs={"batch": 3}),
        Case("64 x 64", acts=False, inputs={"height": 64, "width": 64, "batch": 1}),
        Case("control", control=control),
        Case("FreeU", _free_u),
        Case("attention replace", _attention_replace),
        Case("attention patches", _attention_patches),
        Case("attention override", _attention_override),
        Case("embedding patch", _embedding_patch),
        Case("deep shrink", _deep_shrink),
        Case("HyperTile", _hyper_tile),
        Case("LoRA resident", with_lora),
        Case("LoRA offloaded", with_lora, offload=True),
        Case("control, FreeU and odd size", _free_u, control=control,
             inputs={"height": 15, "width": 21, "batch": 3}),
    ]
