"""Smaller UNets out of the host's models, and files of UNets."""

import copy
import json
import os
import uuid

import comfy.model_management
import folder_paths

from ..training.expert_start import start_tensors
from ..unet_file import expected_tensors, write_unet
from .assembled_unet import SPEC_BUFFER
from .loader import make_model
from .unet_config import describe, unet_config_of

_BUFFER_PREFIX = SPEC_BUFFER + "."
_UNET_PREFIX = "diffusion_model."


def _stored_weights(patcher) -> dict:
    """The weights of the UNet in `patcher` before any patch, by name without the prefix. Where a clone of it is loaded
    with its patches, the host keeps the unpatched ones aside."""
    return {name.removeprefix(_UNET_PREFIX): patches[0][0].detach()
            for name, patches in patcher.get_key_patches(_UNET_PREFIX).items()}


def assemble_unet(patcher, spec_json: str):
    """A ModelPatcher with the UNet of `patcher` less what `spec_json` lacks of it; what is left shares its memory.
    Keeps the patches, options and wrappers of `patcher`; patches of weights that are gone are dropped."""
    wanted = expected_tensors(spec_json)
    tensors = {name: tensor for name, tensor in _stored_weights(patcher).items() if name in wanted}
    return with_weights(patcher, spec_json, tensors, keeps_patches=True)


def with_experts(patcher, spec_json: str, starts: list[dict], teacher=None):
    """A ModelPatcher with the UNet of `patcher` and the ME-CondConv that `spec_json` adds to it, whose leaves start as
    `starts` says, from weights before any patch. `teacher`: the MODEL with the pruned convolutions, or None where none
    starts from them. What was there shares its memory. Keeps patches, options and wrappers."""
    kept = {name: tensor for name, tensor in _stored_weights(patcher).items() if not name.startswith(_BUFFER_PREFIX)}
    pruned = {} if teacher is None else _stored_weights(teacher)
    tensors = kept | start_tensors(spec_json, starts, kept, pruned)
    return with_weights(patcher, spec_json, tensors, keeps_patches=True)


def with_weights(patcher, spec_json: str, tensors: dict, *, keeps_patches: bool):
    """A ModelPatcher like `patcher` around the UNet `spec_json` of `tensors`, themselves and not copies; without its
    patches of weights where they are in these already."""
    config = copy.copy(patcher.model.model_config)
    config.unet_config = {**config.unet_config, **unet_config_of(json.loads(spec_json))}
    config.sampling_settings = dict(config.sampling_settings)
    model_type = patcher.model.model_type  # alone: a model that the new one held would never be freed
    config.model_type = lambda state_dict, prefix="": model_type
    model = make_model(config, spec_json, tensors).to(patcher.offload_device)
    clone = _with_model(patcher, model)
    if not keeps_patches:
        clone.patches = {}
    return clone


def _with_model(patcher, model):
    """A clone of `patcher` around another model, of which nothing is loaded or patched yet."""
    fresh = type(patcher)(model, patcher.load_device, patcher.offload_device)
    clone = patcher.clone()
    for name in ("model", "backup", "object_patches_backup", "pinned", "parent", "hook_backup"):
        setattr(clone, name, getattr(fresh, name))
    clone.size = 0
    names = model.state_dict().keys()
    clone.patches = {name: patches for name, patches in clone.patches.items() if name in names}
    clone.patches_uuid = uuid.uuid4()
    return clone


def save_unet(patcher, filename_prefix: str) -> str:
    """Writes the UNet of `patcher` with its patches baked in, its UNetSpec in the metadata; the file's path. The file
    takes its name when it is whole, so that nobody meets half of one."""
    folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, folder_paths.get_output_directory())
    path = os.path.join(folder, f"{name}_{counter:05}_.safetensors")
    comfy.model_management.load_models_gpu([patcher], force_patch_weights=True)
    tensors = {name: tensor for name, tensor in patcher.model.diffusion_model.state_dict().items()
               if not name.startswith(_BUFFER_PREFIX)}
    write_unet(path, describe(patcher.model)["spec_json"], tensors)
    return path
