"""Loads UNets whose structure comes from a UNetSpec, which the stock loader cannot detect at every width."""

import json

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch

from . import native
from .unet_config import unet_config_of

_FAMILIES = {
    "sd1": comfy.supported_models.SD15, "sd2": comfy.supported_models.SD20,
    "sdxl": comfy.supported_models.SDXL, "sdxl_refiner": comfy.supported_models.SDXLRefiner,
}
_MODEL_TYPES = {"eps": comfy.model_base.ModelType.EPS, "v": comfy.model_base.ModelType.V_PREDICTION}


def _check_keys(path: str, unet, state_dict: dict):
    """ValueError naming every missing and unexpected tensor; the host would leave the missing ones uninitialised."""
    expected = {}
    for name, shape, has_bias in unet.leaves():
        expected[f"{name}.weight"] = tuple(shape)
        if has_bias:
            expected[f"{name}.bias"] = (shape[0],)
    faults = [f"missing {name}" for name in expected if name not in state_dict]
    faults += [f"unexpected {name}" for name in state_dict if name not in expected]
    faults += [f"{name} has shape {tuple(tensor.shape)}, expected {expected[name]}"
               for name, tensor in state_dict.items() if name in expected and tuple(tensor.shape) != expected[name]]
    if faults:
        raise ValueError(f"{path}: expected the tensors of the UNetSpec in its metadata, got " + "; ".join(faults))


def model_config(spec: dict):
    """The host's configuration of a UNet of this family and structure; its dtypes are still to be set."""
    config = _FAMILIES[spec["family"]](unet_config_of(spec))
    # The host's families overwrite the heads with their own.
    config.unet_config.update(num_heads=spec["num_heads"], num_head_channels=spec["num_head_channels"])
    config.model_type = lambda state_dict, prefix="": _MODEL_TYPES[spec["prediction"]]
    return config


def load_unet(path: str, spec_json: str, weight_dtype: torch.dtype | None):
    """A ModelPatcher of the host with the weights of the safetensors file at `path`, ldm names.

    `weight_dtype` None stores them as the host would choose. ValueError naming every tensor that does not fit.
    """
    state_dict = comfy.utils.load_torch_file(path)
    _check_keys(path, native.native_module().UNet(spec_json), state_dict)
    config = model_config(json.loads(spec_json))
    load_device = comfy.model_management.get_torch_device()
    supported = config.supported_inference_dtypes
    stored = weight_dtype or comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(state_dict), supported_dtypes=supported,
        weight_dtype=comfy.utils.weight_dtype(state_dict))
    config.set_inference_dtype(stored, comfy.model_management.unet_manual_cast(stored, load_device, supported))
    offload_device = comfy.model_management.unet_offload_device()
    model = config.get_model(state_dict, "").to(offload_device)
    model.load_model_weights(state_dict, "")
    return comfy.model_patcher.ModelPatcher(model, load_device=load_device, offload_device=offload_device)
