"""Smaller UNets out of the host's models, and files of UNets."""

import copy
import inspect
import itertools
import os
import re
import uuid

import comfy.model_management
import comfy.model_patcher
import folder_paths
from safetensors import SafetensorError

from ..training.expert_start import start_tensors
from ..unet_file import expected_tensors, is_note, write_new_unet
from .assembled_unet import SPEC_BUFFER
from .dynamic_vram import is_dynamic
from .loader import make_model
from .sampled_as import marks_of, prediction_of, record_of
from .unet_config import describe, unet_config_of

_BUFFER_PREFIX = SPEC_BUFFER + "."
_UNET_PREFIX = "diffusion_model."
# What of a BaseModel says how it is sampled.
_SAMPLED_AS = ("model_sampling", "latent_format", "concat_keys", "model_type")
_MAX_NAME = 200  # bytes: file systems have 255, and a number and an ending follow
_MAX_FOLDERS = 20
_NO_NAME = re.compile(r'[<>:"|?*\x00-\x1f]')


def _stored_weights(patcher) -> dict:
    """The weights of the UNet in `patcher` before any patch, by name without the prefix. Where a clone of it is loaded
    with its patches, the host keeps the unpatched ones aside."""
    return {name.removeprefix(_UNET_PREFIX): patches[0][0].detach()
            for name, patches in patcher.get_key_patches(_UNET_PREFIX).items() if not is_note(name)}


def assemble_unet(patcher, spec):
    """A ModelPatcher with the UNet of `patcher` less what `spec` lacks of it; what is left shares its memory.
    Keeps the patches, options and wrappers of `patcher`; patches of weights that are gone are dropped."""
    wanted = expected_tensors(spec)
    tensors = {name: tensor for name, tensor in _stored_weights(patcher).items() if name in wanted}
    return with_weights(patcher, spec, tensors, keeps_patches=True)


def with_experts(patcher, spec, starts: list[dict], teacher=None):
    """A ModelPatcher with the UNet of `patcher` and the ME-CondConv that `spec` adds to it, whose leaves start as
    `starts` says, from weights before any patch. `teacher`: the MODEL with the pruned convolutions, or None where none
    starts from them. What was there shares its memory. Keeps patches, options and wrappers."""
    kept = {name: tensor for name, tensor in _stored_weights(patcher).items() if not name.startswith(_BUFFER_PREFIX)}
    pruned = {} if teacher is None else _stored_weights(teacher)
    tensors = kept | start_tensors(spec, starts, kept, pruned)
    return with_weights(patcher, spec, tensors, keeps_patches=True)


def with_weights(patcher, spec, tensors: dict, *, keeps_patches: bool):
    """A ModelPatcher like `patcher` around the UNet `spec` of `tensors`, themselves and not copies; without its
    patches of weights where they are in these already."""
    made = _fresh_patcher(patcher, spec, tensors)
    clone = _around(patcher, made)
    if not keeps_patches:
        clone.patches = {}
    return clone


def _fresh_patcher(patcher, spec, tensors: dict):
    """A ModelPatcher of the devices of `patcher` around a new model of its kind, with nothing on it. It knows how to be
    made once more, for hosts that clone a MODEL around another model."""
    config = _config_like(patcher.model.model_config)
    config.unet_config = {**config.unet_config, **unet_config_of(spec)}
    model_type = patcher.model.model_type  # alone: a model that the new one held would never be freed
    config.model_type = lambda state_dict, prefix="": model_type
    # Nodes may have put others in their places while it is loaded.
    own = {name: patcher.object_patches_backup.get(name, getattr(patcher.model, name)) for name in _SAMPLED_AS}
    dtype = patcher.model.get_dtype()
    kept = {name: _cast(tensor, dtype) for name, tensor in tensors.items()} if is_dynamic(patcher) else tensors
    notes = {name: tensor for name, tensor in patcher.model.diffusion_model.state_dict().items() if is_note(name)}
    return remade_patcher(config, spec, {**kept, **notes}, own, patcher.load_device, patcher.offload_device)


def remade_patcher(config, spec, tensors: dict, own: dict, load_device, offload_device, disable_dynamic: bool = False):
    """A ModelPatcher around a new model of `tensors`, themselves and not copies, sampled by copies of `own` (attributes
    of its BaseModel). `disable_dynamic`: what hosts with dynamic VRAM ask of all that makes patchers; this one's
    weights never are in dynamic VRAM."""
    model = make_model(_config_like(config), spec, dict(tensors)).to(offload_device)
    for name, value in own.items():
        setattr(model, name, copy.deepcopy(value))
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=load_device, offload_device=offload_device)
    patcher.cached_patcher_init = (remade_patcher, (config, spec, tensors, own, load_device, offload_device))
    return patcher


def _config_like(own):
    """A copy of a model config. Newer hosts' have every attribute, also those by which Python copies."""
    config = type(own).__new__(type(own))
    config.__dict__.update(own.__dict__)
    config.unet_config = dict(own.unet_config)
    return config


def _cast(tensor, dtype):
    """Under dynamic VRAM weights lie in the dtype of their file."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _around(patcher, made):
    """A clone of `patcher` around the model of `made`, of which nothing is loaded or patched yet."""
    if "model_override" in inspect.signature(patcher.clone).parameters:
        clone = patcher.clone(disable_dynamic=True, model_override=made.get_clone_model_override())
        clone.hook_backup = {}
    else:
        clone = patcher.clone()
        for name in ("model", "backup", "object_patches_backup", "pinned", "hook_backup"):
            setattr(clone, name, getattr(made, name))
    clone.parent = None  # the host goes back to it where a clone is gone, and it would be around another model
    clone.cached_patcher_init = made.cached_patcher_init
    clone.size = 0
    names = made.model.state_dict().keys()
    clone.patches = {name: patches for name, patches in clone.patches.items() if name in names}
    clone.patches_uuid = uuid.uuid4()
    return clone


def baked_tensors(patcher) -> dict:
    """The weights of the UNet in `patcher` with its patches in them, by name without the prefix; not copies where the
    host keeps them so."""
    if not is_dynamic(patcher):
        comfy.model_management.load_models_gpu([patcher], force_patch_weights=True)
        return patcher.model.diffusion_model.state_dict()
    comfy.model_management.load_models_gpu([patcher])
    tensors = patcher.model.diffusion_model.state_dict()
    for name in tensors:
        key = _UNET_PREFIX + name
        if key in patcher.patches and key not in patcher.backup:  # small ones are patched as they are loaded
            baked = patcher.patch_weight_to_device(key, device_to=patcher.load_device, return_weight=True)
            tensors[name] = baked.to(tensors[name].device)
    return tensors


def save_unet(patcher, filename_prefix: str) -> str:
    """Writes the UNet of `patcher` with its patches baked in, its UNetSpec and how it is sampled in the metadata; the
    file's path. The file takes its name when it is whole, so that nobody meets half of one."""
    where = "ASDMSaveUNet.filename_prefix"
    check_file_name(filename_prefix, where)
    tensors = {name: tensor for name, tensor in baked_tensors(patcher).items() if not name.startswith(_BUFFER_PREFIX)}
    spec = describe(patcher.model)["spec"].replace(  # a patch may have widened the first convolution
        prediction=prediction_of(patcher), in_channels=tensors["input_blocks.0.0.weight"].shape[1])
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix,
                                                                       folder_paths.get_output_directory())
        paths = (os.path.join(folder, f"{name}_{number:05}_.safetensors") for number in itertools.count(counter))
        return write_new_unet(paths, spec, tensors | marks_of(patcher), record_of(patcher))
    except (OSError, SafetensorError) as fault:
        raise OSError(f"{where}: expected a place that can be written to, got {fault}") from fault


def check_file_name(name: str, where: str):
    """ValueError where no file in a folder of the host's can have this `name`, folders in front of it included, on the
    systems that ComfyUI runs on."""
    parts = [part for part in re.split(r"[/\\]", name) if part] or [""]
    for part in parts:
        if not part.strip(" .") or _NO_NAME.search(part):
            raise ValueError(f"{where}: expected folders and a name without < > : \" | ? * and control characters, got "
                             f"{name[:_MAX_NAME]!r}")
        if len(part.encode(errors="surrogateescape")) > _MAX_NAME:
            raise ValueError(f"{where}: expected names of at most {_MAX_NAME} bytes, got {part[:_MAX_NAME // 4]!r}...")
    if len(parts) > _MAX_FOLDERS or re.match(r"[/\\]", name):
        raise ValueError(f"{where}: expected a name in the output folder, at most {_MAX_FOLDERS} folders deep, got "
                         f"{name[:_MAX_NAME]!r}")
