"""What steers the picture from beside the UNet: ControlNets of all kinds, adapters, GLIGEN."""

import torch
from support.models import random_unet_

from .sampling import Combination, Sampling, core, node, picture

STRENGTH = 0.8


def _config(sampling: Sampling) -> dict:
    config = dict(sampling.model.model.model_config.unet_config)
    for name in ("out_channels", "transformer_depth_output", "device", "dtype"):
        config.pop(name, None)
    return config


def _network(sampling: Sampling, **more):
    import comfy.cldm.cldm
    import comfy.ops
    return comfy.cldm.cldm.ControlNet(**_config(sampling), hint_channels=3, dtype=torch.float32,
                                      operations=comfy.ops.disable_weight_init, **more)


def _hosted(sampling: Sampling, network, seed: int):
    """A CONTROL_NET of the host's with random weights."""
    import comfy.controlnet
    random_unet_(network, seed)
    return comfy.controlnet.ControlNet(network, load_device=sampling.model.load_device)


def control_net(sampling: Sampling, seed: int = 5):
    return _hosted(sampling, _network(sampling), seed)


def control_lora(sampling: Sampling):
    """What the host makes of a Control-LoRA's file: the encoder has the model's own weights with a small difference."""
    import comfy.controlnet
    full = control_net(sampling, 6).control_model.state_dict()
    own = sampling.model.model.diffusion_model.state_dict()
    generator = torch.Generator().manual_seed(8)
    weights = {name: tensor for name, tensor in full.items() if name not in own}
    for name, tensor in own.items():
        if name in full and name.endswith(("attn2.to_q.weight", "in_layers.2.weight")):
            place, fan_in = name.removesuffix(".weight"), tensor[0].numel()
            weights[f"{place}.up"] = torch.randn(tensor.shape[0], 2, generator=generator) * 0.3
            weights[f"{place}.down"] = torch.randn(2, fan_in, generator=generator) * fan_in ** -0.5
            if tensor.dim() == 4:
                weights[f"{place}.up"] = weights[f"{place}.up"][..., None, None]
                weights[f"{place}.down"] = weights[f"{place}.down"].view(2, *tensor.shape[1:])
    return comfy.controlnet.ControlLora({**weights, "lora_controlnet": torch.tensor([])})


def union(sampling: Sampling):
    import comfy.ops
    from comfy.cldm.cldm import ResBlockUnionControlnet
    from comfy_extras.nodes_controlnet import SetUnionControlNetType
    network = _network(sampling, union_controlnet_num_control_type=6)
    width = network.model_channels  # the host makes these parts for 320 channels alone
    network.task_embedding = torch.nn.Parameter(torch.empty(6, width))
    network.transformer_layes = torch.nn.Sequential(
        ResBlockUnionControlnet(width, 8, operations=comfy.ops.disable_weight_init))
    network.spatial_ch_projs = comfy.ops.disable_weight_init.Linear(width, width)
    return node(SetUnionControlNetType, _hosted(sampling, network, 5), "depth")[0]


def t2i_adapter(sampling: Sampling):
    import comfy.controlnet
    from comfy.t2i_adapter.adapter import Adapter
    width = sampling.model.model.model_config.unet_config["model_channels"]
    network = Adapter(channels=[width * factor for factor in (1, 2, 4, 4)], nums_rb=2, cin=192, ksize=1, sk=True,
                      use_conv=False, xl=False)
    random_unet_(network, 7)
    return comfy.controlnet.T2IAdapter(network, network.input_channels, 8, "nearest-exact")


def _applied(*makers, start: float = 0.0, end: float = 1.0):
    """What ControlNetApplyAdvanced makes of these in a row."""
    def change(sampling: Sampling):
        for number, make in enumerate(makers):
            sampling.with_conds(lambda positive, negative, make=make, number=number: node(
                core("ControlNetApplyAdvanced")(), positive, negative, make(sampling), picture(5 + number), STRENGTH,
                start, end))
    return change


def on_cond_alone(sampling: Sampling):
    sampling.positive = node(core("ControlNetApply")(), sampling.positive, control_net(sampling), picture(),
                             STRENGTH)[0]
    for _, extra in sampling.positive:
        extra["control_apply_to_uncond"] = False


def _second(sampling: Sampling):
    return control_net(sampling, 9)


def gligen(sampling: Sampling):
    """Boxes for words, by the host's Gligen with random weights."""
    import comfy.model_patcher
    from comfy.gligen import GatedSelfAttentionDense, Gligen, PositionNet
    config = sampling.model.model.model_config.unet_config
    width = config["model_channels"]
    widths = [width * factor for factor in (1, 1, 2, 2, 4, 4, 4, 4, 4, 4, 2, 2, 2, 1, 1, 1)]
    network = Gligen([GatedSelfAttentionDense(one, 768, 8, one // 8) for one in widths], PositionNet(768, 768), 768)
    random_unet_(network, 12)
    for part in network.module_list:
        part.alpha_attn.data.fill_(0.8)
        part.alpha_dense.data.fill_(0.5)
    device = sampling.model.load_device
    patcher = comfy.model_patcher.ModelPatcher(network, load_device=device, offload_device=device)

    class Words:
        """The only thing that GLIGENTextBoxApply asks of a CLIP."""

        def tokenize(self, text):
            return text

        def encode_from_tokens(self, text, return_pooled=False):
            return None, torch.randn(1, 768, generator=torch.Generator().manual_seed(13))

    sampling.positive = node(core("GLIGENTextBoxApply")(), sampling.positive, Words(), patcher, "a box", 64, 64, 16,
                             32)[0]


def instant_id(sampling: Sampling):
    """As packs for InstantID: attention to a face beside the prompt's, and a ControlNet that gets the face alone."""
    from .attention import ip_adapter
    ip_adapter(sampling)
    _applied(control_net)(sampling)
    face = torch.randn(1, 16, 768, generator=torch.Generator().manual_seed(21))
    for conds in (sampling.positive, sampling.negative):
        for _, extra in conds:
            extra["cross_attn_controlnet"] = face


APPLY = "ControlNetApplyAdvanced"
COMBINATIONS = [
    Combination("ControlNet", APPLY, _applied(control_net)),
    Combination("ControlNet on the prompt alone", "ControlNetApply", on_cond_alone),
    Combination("ControlNet in a part of the schedule", APPLY, _applied(control_net, start=0.1, end=0.6)),
    Combination("Two ControlNets in a row", APPLY, _applied(control_net, _second)),
    Combination("Control-LoRA", APPLY, _applied(control_lora)),
    Combination("Union ControlNet", f"SetUnionControlNetType, {APPLY}", _applied(union)),
    Combination("T2I-Adapter", APPLY, _applied(t2i_adapter)),
    Combination("T2I-Adapter behind a ControlNet", APPLY, _applied(control_net, t2i_adapter)),
    Combination("GLIGEN", "GLIGENTextBoxApply", gligen),
    Combination("InstantID", "as packs do it: attn2 replaced, and a ControlNet with a context of its own", instant_id),
]
