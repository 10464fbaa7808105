"""Makes the host's models around UNets whose structure a UNetSpec says: from files, or around tensors at hand."""

import logging

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.utils
import safetensors
import torch
from safetensors import SafetensorError

from ..unet_file import Scales, check_tensors, is_note
from .sampled_as import MARKS, VELOCITY, configure, read_record, sampled_as
from .unet_config import check_family, make_unet, unet_config_of

_FAMILIES = {
    "sd1": comfy.supported_models.SD15, "sd2": comfy.supported_models.SD20,
    "sdxl": comfy.supported_models.SDXL, "sdxl_refiner": comfy.supported_models.SDXLRefiner,
}
_MODEL_TYPES = {"eps": comfy.model_base.ModelType.EPS, "v": comfy.model_base.ModelType.V_PREDICTION}
_AT_A_TIME = 1 << 26  # bytes of a file that lie in memory beside the copies of its tensors
log = logging.getLogger("asdm")


def _family(spec, tensors, name: str | None):
    """The host's class for a UNet of this family and structure: the one of that name, or, as it tells them, the first
    that fits. `tensors`: all of the file."""
    config = {"adm_in_channels": None, "use_temporal_attention": False, **unet_config_of(spec)}
    for family in comfy.supported_models.models:
        # Tests have narrow UNets. A first convolution may have been widened, which only the name tells.
        same = {key: family.unet_config.get(key) for key in ("model_channels", *(("in_channels",) if name else ()))}
        if name in (None, family.__name__) and family.matches({**config, **same}, tensors):
            return family
    return _FAMILIES[spec.family]


def model_config(spec, tensors=(), name: str | None = None):
    """The host's configuration of a UNet of this family and structure; its dtypes are still to be set."""
    config = _family(spec, tensors, name)(unet_config_of(spec))
    # The host's families overwrite the heads with their own.
    config.unet_config.update(num_heads=spec.num_heads, num_head_channels=spec.num_head_channels)
    config.model_type = lambda state_dict, prefix="": _MODEL_TYPES[spec.prediction]
    return config


def make_model(config, spec, tensors: dict, marks: dict | None = None):
    """A BaseModel of the host whose UNet holds `tensors`, by their names in the full UNet, themselves and not copies.
    `marks`: what else the host looks at to tell how the UNet is sampled."""
    config.unet_config["disable_unet_model_creation"] = True
    model = config.get_model({**tensors, **(marks or {})}, "")
    del config.unet_config["disable_unet_model_creation"]
    settings = {**config.unet_config, "device": "meta", "operations": comfy.ops.pick_operations(
        config.unet_config.get("dtype"), config.manual_cast_dtype)}
    unet = make_unet(spec.replace(prediction="v" if model.model_type in VELOCITY else "eps"), **settings)
    unet.load_state_dict(tensors, strict=False, assign=True)
    if comfy.model_management.force_channels_last():
        unet.to(memory_format=torch.channels_last)
    model.diffusion_model = unet
    return model


def _unpacked(tensors: dict) -> dict:
    """Those that are not in fp8: a file of this pack has large tensors in it to be small, not to be computed so."""
    return {name: tensor for name, tensor in tensors.items() if tensor.element_size() > 1} or tensors


def _read(path: str, names: dict) -> tuple[dict, dict, dict]:
    """(tensors by their `names` in the full UNet, marks and the names of all others, metadata) of a file. ValueError
    where it is not what it was when its header was read."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # whatever its name: nothing is ever unpickled
            others = set(file.keys()) - set(names.values())
            return ({name: file.get_tensor(in_file) for name, in_file in names.items()},
                    {name: file.get_tensor(name) if name in MARKS else None for name in others}, file.metadata())
    except (SafetensorError, OSError) as fault:
        raise ValueError(f"{path}: expected a whole safetensors file, got {fault}") from fault


def _batches(tensors: dict) -> list[list[str]]:
    """Names of tensors, so many together as are read at a time."""
    batches, left = [], 0
    for name, tensor in tensors.items():
        if not batches or tensor.nbytes > left:
            batches.append([])
            left = _AT_A_TIME
        batches[-1].append(name)
        left -= tensor.nbytes
    return batches


def _copy(path: str, names: dict, tensors: dict, copied):
    """Puts `copied(name, tensor)` in the place of each of the `tensors` of a file, which are promised and not read yet.
    What was read is let go batch by batch: pages of the file count as memory of this process for as long as any tensor
    of their opening lives. ValueError where the file is not what it was."""
    for batch in _batches(tensors):
        read, _, _ = _read(path, {name: names[name] for name in batch})
        for name in batch:
            was, now = tensors[name], read[name]
            if (now.shape, now.dtype) != (was.shape, was.dtype):
                raise ValueError(f"{path}: expected {name} to stay {was.dtype} of shape {tuple(was.shape)} while it is "
                                 f"read, got {now.dtype} of shape {tuple(now.shape)}")
            tensors[name] = copied(name, now)


def load_unet(path: str, layout: dict, weight_dtype: torch.dtype | None, disable_dynamic: bool = False):
    """A ModelPatcher of the host with the UNet of the safetensors file at `path`. `layout`: {"spec", "names": name
    in the full UNet -> name in the file, "carries_spec"}, as native/format/unet_file.h reads it.

    `weight_dtype` None stores them as the host would choose. `disable_dynamic`: what hosts with dynamic VRAM ask of all
    that makes patchers; this one's weights never are in dynamic VRAM. ValueError naming every tensor that does not fit.
    """
    tensors, stored_as, metadata = _read(path, layout["names"])
    spec, record = layout["spec"], read_record(path, metadata)
    scales = Scales(tensors)
    scales.check(path, tensors)
    check_tensors(path, spec, tensors)
    check_family(path, spec)
    config = model_config(spec, {**stored_as, **tensors}, record.get("family"))
    if record:
        configure(config, record)
    elif not layout["carries_spec"] or any(mark in stored_as for mark in MARKS):
        del config.model_type  # the host tells by the weights
    load_device = comfy.model_management.get_torch_device()
    supported = config.supported_inference_dtypes
    stored = weight_dtype or comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(tensors), supported_dtypes=supported,
        weight_dtype=comfy.utils.weight_dtype(_unpacked(tensors) if layout["carries_spec"] or scales else tensors))
    config.set_inference_dtype(stored, comfy.model_management.unet_manual_cast(stored, load_device, supported))
    # Copies: a file may be cut or written over while its UNet is in use.
    _copy(path, layout["names"], tensors, lambda name, tensor: scales.applied(name, tensor).to(
        tensor.dtype if is_note(name) else stored, copy=True))
    if spec.removed:
        log.info("%s: a UNet without %s", path, ", ".join(spec.removed))
    offload_device = comfy.model_management.unet_offload_device()
    model = make_model(config, spec, tensors, marks=stored_as).to(offload_device)
    if record:
        sampled_as(model, record, path)
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=load_device, offload_device=offload_device)
    patcher.cached_patcher_init = (load_unet, (path, layout, weight_dtype))  # how a host makes it once more
    return patcher
