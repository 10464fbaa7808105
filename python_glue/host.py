"""ComfyUI as the nodes see it: the implementation of nodes/host.h."""

import dataclasses
import json
import weakref

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import folder_paths

from . import native
from .sampling_run import latent_fingerprint
from .seam import install, session_of
from .session import Session, compute_dtype_of
from .unet_config import describe, unet_config_of

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


def _model_config(spec: dict, dtype):
    """The host's configuration of a UNet of this family and structure, computing and stored as the host decides."""
    config = _FAMILIES[spec["family"]](unet_config_of(spec))
    config.unet_config.update(num_heads=spec["num_heads"], num_head_channels=spec["num_head_channels"])
    config.model_type = lambda state_dict, prefix="": _MODEL_TYPES[spec["prediction"]]
    load_device = comfy.model_management.get_torch_device()
    stored = comfy.model_management.unet_dtype(
        model_params=-1, supported_dtypes=config.supported_inference_dtypes, weight_dtype=dtype)
    config.set_inference_dtype(
        stored, comfy.model_management.unet_manual_cast(stored, load_device, config.supported_inference_dtypes))
    return config


class ComfyHost:
    """Stateless; a MODEL is a ModelPatcher, a LATENT a dict with "samples"."""

    def list_models(self, folder: str) -> list[str]:
        return folder_paths.get_filename_list(folder)

    def model_path(self, folder: str, name: str) -> str:
        return folder_paths.get_full_path_or_raise(folder, name)

    def load_unet(self, path: str, spec_json: str, weight_dtype: str):
        spec = json.loads(spec_json)
        state_dict = comfy.utils.load_torch_file(path)
        _check_keys(path, native.load().UNet(spec_json), state_dict)
        stored = next(iter(state_dict.values())).dtype
        config = _model_config(spec, compute_dtype_of(weight_dtype) if weight_dtype != "default" else stored)
        offload_device = comfy.model_management.unet_offload_device()
        model = config.get_model(state_dict, "").to(offload_device)
        model.load_model_weights(state_dict, "")
        return comfy.model_patcher.ModelPatcher(
            model, load_device=comfy.model_management.get_torch_device(), offload_device=offload_device)

    def describe_model(self, model) -> dict:
        return describe(model.model)

    def _session(self, model) -> Session:
        """The session `model` already has, or a new one for its structure."""
        session = session_of(model)
        if session is not None:
            return session
        unet = native.load().UNet(self.describe_model(model)["spec_json"])
        return Session(unet=unet, base_model=weakref.ref(model.model))

    def _with(self, model, **changes):
        session = dataclasses.replace(self._session(model), reports=Session.new_reports(), **changes)
        session.sites()  # an unknown site is an error of this node, not of the sampler
        clone = model.clone()
        install(clone, session)
        return clone

    def with_native_engine(self, model, options: dict):
        return self._with(model, compute_dtype=compute_dtype_of(options["compute_dtype"]))

    def with_inheritance(self, model, options: dict):
        return self._with(model, inheritance=options)

    def run_report(self, model, latent: dict) -> str:
        session = session_of(model)
        if session is not None:
            wanted = latent_fingerprint(latent["samples"])
            for fingerprint, report in reversed(session.reports):
                if fingerprint == wanted:
                    return json.dumps(report)
        return json.dumps({"found": False})


def comfy_host() -> ComfyHost:
    return ComfyHost()
