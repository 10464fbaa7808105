"""Runs the demo UNet out of an installed wheel, without ComfyUI, on a fixed input.

    wheel_run.py UNET OUT [REFERENCE]

Writes the prediction to OUT. With REFERENCE, what another wheel wrote: fails where the two differ.
"""

import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

# The pack's own __init__ is for ComfyUI, which is not here.
sys.path[0] = importlib.util.find_spec("comfyui_asdm").submodule_search_locations[0]
from python_glue import native  # noqa: E402

DISTANCE = 1e-5  # relative L2 between two builds, in fp32


class NoHooks:
    """What the engine asks of a call without hooks (native/unet/hooks.h)."""

    follows_blocks = hooks_embedding = hooks_input_blocks = hooks_output_blocks = False
    hooks_middle_block = hooks_transformers = overrides_attention = False

    def poll(self):
        pass


def prediction(path: str) -> torch.Tensor:
    """[2, 4, 16, 16] of the UNet in the file `path`."""
    module = native.native_module()
    layout = module.read_unet_file(path)
    unet = module.UNet(layout["spec"])
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    leaves = [(tensors[f"{name}.weight"], tensors.get(f"{name}.bias")) for name, _, _ in unet.leaves()]
    draw = torch.Generator().manual_seed(1)
    return unet.forward(
        x=torch.randn(2, 4, 16, 16, generator=draw), timesteps=torch.full((2,), 500.0),
        context=torch.randn(2, 77, layout["spec"].context_dim, generator=draw), y=None, control={},
        weights=module.HostWeights(unet, leaves, None), hooks=NoHooks(), features=module.CallFeatures(), profile=None)


def main(unet: str, out: str, reference: str = ""):
    with torch.no_grad():
        found = prediction(unet)
    save_file({"prediction": found}, out)
    if not torch.isfinite(found).all():
        sys.exit(f"{Path(unet).name}: expected a finite prediction")
    where = f"torch {torch.__version__}, Python {sys.version.split()[0]}"
    if not reference:
        print(f"{where}: runs")
        return
    expected = load_file(reference)["prediction"]
    distance = float((found - expected).norm() / expected.norm())
    print(f"{where}: {distance:.1e} from the first wheel")
    if distance > DISTANCE:
        sys.exit(f"expected at most {DISTANCE:.0e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
