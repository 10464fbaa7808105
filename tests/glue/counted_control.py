"""A ControlNet of the host's with random weights, which counts how often it runs."""

import torch
from hosted_model import SIZE


class CountedControl:
    """`hosted`: the HostedModel whose structure it has; `percent`: the part of the schedule in which it acts."""

    def __init__(self, hosted, strength=1.0, percent=(0.0, 1.0)):
        import comfy.cldm.cldm
        import comfy.controlnet
        import comfy.ops
        config = hosted.patcher.model.model_config.unet_config
        names = ("image_size", "in_channels", "model_channels", "num_res_blocks", "channel_mult", "transformer_depth",
                 "transformer_depth_middle", "num_heads", "context_dim", "use_spatial_transformer", "legacy")
        torch.manual_seed(5)
        network = comfy.cldm.cldm.ControlNet(**{name: config[name] for name in names if name in config},
                                             hint_channels=3, operations=comfy.ops.disable_weight_init)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        self.calls = 0
        network.register_forward_hook(self._count)
        self._network = network
        self.control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))
        self.control.set_cond_hint(torch.rand(1, 3, SIZE * 8, SIZE * 8), strength, percent)

    def _count(self, *_):
        self.calls += 1
