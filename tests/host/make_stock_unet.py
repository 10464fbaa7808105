"""`make_stock_unet.py COMFYUI_FOLDER OUT`: a random UNet in the host's own layout, small enough for a test.

Runs in its own process, as the host's packages have names (`utils`, `app`) that nobody else wants on sys.path.
"""

import sys

import torch
from safetensors.torch import save_file

# What the stock loader recognises SD1.x by: 320 channels, a context of 768, convolutions around the attention.
CONFIG = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1],
    "num_heads": 8,
    "context_dim": 768,
    "use_spatial_transformer": True,
    "legacy": False,
}


def random_weight(name, shape, generator):
    """Keeps the size of what flows through, so that no layer drops out of the comparison."""
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return noise / (noise[0].numel() ** 0.5)
    return 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)


def main():
    comfy, out = sys.argv[1:3]
    sys.path.insert(0, comfy)
    sys.argv = sys.argv[:1]
    from comfy.cli_args import args

    args.cpu = True
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        names = {name: value.shape for name, value in UNetModel(**CONFIG).state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    save_file({name: random_weight(name, shape, generator) for name, shape in names.items()}, out)


if __name__ == "__main__":
    main()
