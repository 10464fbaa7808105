"""Small model files that tests feed to the host: what it shall run, and what the pack must refuse."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import torch
from comfy_server import comfy_folder
from safetensors.torch import load_file, save_file

UNET_MAKER = Path(__file__).with_name("make_stock_unet.py")
STOCK_UNET = "tiny_stock_unet.safetensors"
DIT = "tiny_dit.safetensors"
NO_MODEL = "no_model.safetensors"
BROKEN = "broken.safetensors"
LORA = "tiny_lora.safetensors"
CONTROL_NET = "tiny_control_net.safetensors"
HINT_CHANNELS = (3, 16, 16, 32, 32, 96, 96, 256)  # of the layers that a ControlNet reads its picture with
LORA_RANK = 2
LORA_LAYERS = ("attn2.to_q", "attn2.to_out.0")


def write_stock_unet(path):
    """A UNet that the stock loader takes for SD1.x: its widths at the first level, but only two short levels."""
    python = os.environ.get("PYTHON") or sys.executable
    subprocess.run([python, str(UNET_MAKER), str(comfy_folder()), str(path)], check=True)
    return path


def write_dit(path):
    """What the stock loader needs to see in order to build a one-block SD3 transformer; the rest stays unset."""
    width, patch = 64, 2
    shapes = {
        "joint_blocks.0.context_block.attn.qkv.weight": (3 * width, width),
        "x_embedder.proj.weight": (width, 16, patch, patch),
        "final_layer.linear.weight": (16 * patch * patch, width),
        "y_embedder.mlp.0.weight": (width, 2048),
        "context_embedder.weight": (width, 4096),
        "pos_embed": (1, 16, width),
    }
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


def write_no_model(path):
    """A sound safetensors file that is no UNet."""
    save_file({"encoder.embedding.weight": torch.zeros(4, 4)}, path)
    return path


def write_broken_file(path):
    """A file that is cut off inside its header."""
    path.write_bytes((1 << 20).to_bytes(8, "little") + b'{"weight":')
    return path


def write_lora(path, unet, strength=0.5):
    """A LoRA on the cross attention of `unet`, random but fixed."""
    generator = torch.Generator().manual_seed(11)
    tensors = {}
    for name, weight in load_file(unet).items():
        layer = name.removeprefix("model.").removeprefix("diffusion_model.").removesuffix(".weight")
        if not name.endswith(".weight") or not layer.endswith(LORA_LAYERS):
            continue
        shape = weight.shape
        key = "lora_unet_" + layer.replace(".", "_")
        tensors[f"{key}.lora_up.weight"] = torch.randn(shape[0], LORA_RANK, generator=generator) * strength
        tensors[f"{key}.lora_down.weight"] = torch.randn(LORA_RANK, shape[1], generator=generator) / shape[1] ** 0.5
        tensors[f"{key}.alpha"] = torch.tensor(float(LORA_RANK))
    if not tensors:
        raise ValueError(f"{unet} has no layer named {' or '.join(LORA_LAYERS)}")
    save_file(tensors, path)
    return path


def write_control_net(path, unet, strength=0.02):
    """A ControlNet whose encoder is that of `unet` and whose other layers are random but fixed; `strength`: the size of
    the weights that its residuals leave it by."""
    generator = torch.Generator().manual_seed(12)

    def convolution(name, outputs, inputs, kernel, scale):
        shape = (outputs, inputs, kernel, kernel)
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * scale
        tensors[f"{name}.bias"] = torch.zeros(outputs)

    named = {name.removeprefix("model.").removeprefix("diffusion_model."): tensor.float()
             for name, tensor in load_file(unet).items()}
    tensors = {name: tensor for name, tensor in named.items()
               if name.startswith(("input_blocks.", "middle_block.", "time_embed."))}
    first = tensors["input_blocks.0.0.weight"].shape[0]
    widths = [*HINT_CHANNELS, first]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        convolution(f"input_hint_block.{2 * number}", outputs, inputs, 3, (inputs * 9) ** -0.5)
    blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("input_blocks."))
    width = first
    for number in range(blocks):
        for part in (f"input_blocks.{number}.0.out_layers.3.bias", f"input_blocks.{number}.0.op.bias"):
            width = tensors[part].shape[0] if part in tensors else width
        convolution(f"zero_convs.{number}.0", width, width, 1, strength * width ** -0.5)
    convolution("middle_block_out.0", width, width, 1, strength * width ** -0.5)
    save_file(tensors, path)
    return path
