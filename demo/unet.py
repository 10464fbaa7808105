"""The demo's UNets: the host's own SD1.x topology with fewer base channels."""
import json

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

SPEC = {
    "format": "asdm.unet", "version": 1, "family": "sd1", "prediction": "eps",
    "in_channels": 4, "out_channels": 4, "model_channels": 64,
    "channel_mult": [1, 2, 4, 4], "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1, "context_dim": 768,
    "num_heads": 8, "num_head_channels": -1,
    "use_linear_in_transformer": False, "adm_in_channels": 0,
}
# The model of scenes: a quarter of the work, so that a CPU can show it more scenes in the same hours.
SCENE_SPEC = {**SPEC, "model_channels": 32, "num_heads": 2}
SPEC_KEY = "asdm.unet_spec"  # of the file's metadata
CAPTION_GAIN = 1.5
# What the host's UNetModel takes beyond the fields of the spec.
HOST_EXTRAS = {
    "image_size": 32, "use_checkpoint": False, "use_spatial_transformer": True,
    "legacy": False, "use_temporal_resblock": False, "use_temporal_attention": False,
    "adm_in_channels": None,
}


def host_config(spec):
    """The spec as keyword arguments of the host's UNetModel."""
    skipped = ("format", "version", "family", "prediction", "adm_in_channels")
    fields = {k: v for k, v in spec.items() if k not in skipped}
    # the host pops from these lists, so hand out copies
    return {**{k: list(v) if isinstance(v, list) else v for k, v in fields.items()},
            **HOST_EXTRAS}


def _initialise(net):
    """Default init everywhere, zero for the convolutions that end a residual."""
    from comfy.ldm.modules.attention import BasicTransformerBlock, SpatialTransformer
    from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock

    for module in net.modules():
        # the host's layers override reset_parameters with a no-op
        for base in (torch.nn.Conv2d, torch.nn.Linear, torch.nn.GroupNorm, torch.nn.LayerNorm):
            if isinstance(module, base):
                base.reset_parameters(module)
    ends = [m.out_layers[3] for m in net.modules() if isinstance(m, ResBlock)]
    ends += [m.proj_out for m in net.modules() if isinstance(m, SpatialTransformer)]
    for end in ends + [net.out[2]]:
        torch.nn.init.zeros_(end.weight)
        torch.nn.init.zeros_(end.bias)
    for module in net.modules():
        if isinstance(module, BasicTransformerBlock):
            # by default the caption arrives some ten times weaker than the
            # picture, which costs many steps before it is heard
            for layer in (module.attn2.to_v, module.attn2.to_out[0]):
                torch.nn.init.normal_(layer.weight, std=CAPTION_GAIN * layer.in_features ** -0.5)


def build_unet(spec=SPEC):
    """A fresh fp32 UNet, ready to train."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    net = UNetModel(dtype=torch.float32, operations=comfy.ops.disable_weight_init,
                    **host_config(spec))
    _initialise(net)
    return net


def save_unet(state, path, spec=SPEC):
    """Write a state dict as fp16, with the spec in the file's metadata."""
    tensors = {k: v.detach().half().contiguous() for k, v in state.items()}
    save_file(tensors, str(path), metadata={SPEC_KEY: json.dumps(spec)})


def load_host_model(path):
    """The file as a ModelPatcher of the host.

    The host's own detection knows only 320 base channels, so its SD15 model
    class is handed the demo's shape.
    """
    import comfy.model_patcher
    from comfy.supported_models import SD15

    with safe_open(str(path), "pt") as stored:
        spec = json.loads(stored.metadata()[SPEC_KEY])
    config = SD15({**host_config(spec), "num_heads": spec["num_heads"]})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    missing, unexpected = model.diffusion_model.load_state_dict(load_file(str(path)), strict=False)
    if missing or unexpected:
        raise ValueError(f"{path} is no demo UNet: missing {missing}, unexpected {unexpected}")
    device = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model.eval(), load_device=device, offload_device=device)
