"""The host's description of a UNet, translated to and from a UNetSpec."""

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from .. import native
from .assembled_unet import AssembledUNet
from .sampled_as import VELOCITY

SD_FAMILIES = "Stable Diffusion 1.x, 2.x and SDXL (base, refiner, inpainting, InstructPix2Pix)"

# Settings of the host's UNetModel that the engine runs at these values alone: (name, value that is fine).
_FIXED = {
    "dims": (2,), "resblock_updown": (False,), "use_scale_shift_norm": (False,), "n_embed": (None,),
    "disable_self_attentions": (None,), "num_attention_blocks": (None,), "disable_middle_self_attn": (False,),
    "conv_resample": (True,), "use_spatial_transformer": (True,), "num_classes": (None, "sequential"),
}
_FAMILY_BY_CONTEXT = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl_refiner"}


def _refusal(diffusion_model, config: dict) -> str:
    """Why the engine cannot run this diffusion model; empty where it can."""
    if type(diffusion_model) not in (UNetModel, AssembledUNet):
        return f"its network is {type(diffusion_model).__name__}, not a Stable Diffusion UNet"
    for name, allowed in _FIXED.items():
        if config.get(name, allowed[0]) not in allowed:
            return f"its UNet has {name}={config[name]!r}, which no SD1.x, SD2.x or SDXL UNet has"
    return ""


def describe(base_model) -> dict:
    """{"class_name", "spec" (UNetSpec), "refusal"} of a host BaseModel; spec is None where the engine cannot run it."""
    diffusion_model = base_model.diffusion_model
    config = base_model.model_config.unet_config
    class_name = type(diffusion_model).__name__
    refusal = _refusal(diffusion_model, config)
    if refusal:
        return {"class_name": class_name, "spec": None, "refusal": refusal}
    if type(diffusion_model) is AssembledUNet:
        return {"class_name": class_name, "spec": diffusion_model.spec, "refusal": ""}
    levels = len(config["channel_mult"])
    res_blocks = config["num_res_blocks"]
    try:
        spec = native.native_module().UNetSpec(
            family=_FAMILY_BY_CONTEXT.get(config["context_dim"], "sd1"),
            prediction="v" if base_model.model_type in VELOCITY else "eps",
            in_channels=config["in_channels"], out_channels=config["out_channels"],
            model_channels=config["model_channels"],
            channel_mult=list(config["channel_mult"]),
            num_res_blocks=[res_blocks] * levels if isinstance(res_blocks, int) else list(res_blocks),
            transformer_depth=list(config["transformer_depth"]),
            transformer_depth_output=list(config["transformer_depth_output"]),
            transformer_depth_middle=config["transformer_depth_middle"],
            context_dim=config["context_dim"],
            num_heads=config.get("num_heads", -1),
            num_head_channels=config.get("num_head_channels", -1),
            use_linear_in_transformer=bool(config.get("use_linear_in_transformer", False)),
            adm_in_channels=config.get("adm_in_channels") or 0)
    except ValueError as fault:
        return {"class_name": class_name, "spec": None, "refusal": str(fault)}
    return {"class_name": class_name, "spec": spec, "refusal": ""}


def check_family(where: str, spec):
    """ValueError at `where` for a UNetSpec whose family does not take text features of its width."""
    usual = _FAMILY_BY_CONTEXT.get(spec.context_dim, spec.family)
    if usual != spec.family:
        raise ValueError(f"{where}: expected the family {usual}, whose text features have the width {spec.context_dim} "
                         f"of its tensors, got {spec.family}")


def unet_config_of(spec) -> dict:
    """The host's `unet_config` of a UNetSpec."""
    config = {name: getattr(spec, name) for name in (
        "in_channels", "out_channels", "model_channels", "channel_mult", "num_res_blocks", "transformer_depth",
        "transformer_depth_output", "transformer_depth_middle", "context_dim", "num_heads", "num_head_channels",
        "use_linear_in_transformer")}
    config.update(image_size=32, use_spatial_transformer=True, legacy=False, use_checkpoint=False)
    if spec.adm_in_channels:
        config.update(num_classes="sequential", adm_in_channels=spec.adm_in_channels)
    return config


def make_unet(spec, **settings):
    """The diffusion model that the host makes of a UNetSpec, without weights. `settings`: dtype, device and operations
    of the host."""
    config = unet_config_of(spec) | settings
    unet = AssembledUNet(spec, **config) if spec.removed or spec.has_experts else UNetModel(**config)
    return unet.eval()
