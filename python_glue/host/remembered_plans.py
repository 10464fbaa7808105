"""Plans that ASDMCalibratePlan found, kept in the host's user folder: the same model, sampled in the same way, is given
its plan without a run, whatever the prompt and seed (docs/plan.md)."""

import hashlib
import json
import logging
from pathlib import Path

import folder_paths
import torch

from .. import native
from ..unet_file import atomically
from .hosted_unet import hosted_unet

log = logging.getLogger("asdm")

_FORMAT, _VERSION = "asdm.calibrated", 1
# What of the run decides on the plan beside the model; the prompt, the seed and the number of pictures do not.
_SAMPLED_AS = ("steps", "cfg", "sampler_name", "scheduler", "denoise", "target_speedup", "effort")
_READ_OF_A_TENSOR = 16  # numbers, evenly spaced: enough to tell models apart, and quick


def key_of(model, asked: dict) -> str:
    """Names the plan of `model` sampled as `asked`, which has the node's inputs."""
    latents = asked["latent_image"]["samples"]
    digest = hashlib.sha256()
    _add(digest, [_FORMAT, _VERSION, [asked[name] for name in _SAMPLED_AS], list(latents.shape[-2:])])
    _add(digest, hosted_unet(model.model).spec.json())
    for name, weight in sorted(model.model.diffusion_model.state_dict().items()):
        # A loaded model's weights may have its patches in them already; the backup is of those without.
        kept = model.backup.get(f"diffusion_model.{name}")
        _add(digest, [name, weight if kept is None else getattr(kept, "weight", kept)])
    _add(digest, model.patches)
    _add(digest, {name: type(patch).__qualname__ for name, patch in model.object_patches.items()})
    _add(digest, model.get_model_object("model_sampling").sigmas)
    _add(digest, model.model_options.get("transformer_options", {}).get("patches", {}))
    return digest.hexdigest()


def _add(digest, value):
    """Adds what a value is, tensors by some of their numbers and what has neither numbers nor parts by its name."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().reshape(-1)
        places = [flat.numel() * place // _READ_OF_A_TENSOR for place in range(_READ_OF_A_TENSOR)] if len(flat) else []
        digest.update(f"{tuple(value.shape)} {flat[places].tolist()};".encode())
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            _add(digest, [str(name), value[name]])
    elif isinstance(value, (list, tuple)):
        digest.update(f"[{len(value)}:".encode())
        for part in value:
            _add(digest, part)
    elif value is None or isinstance(value, (str, int, float)):
        digest.update(f"{value!r};".encode())
    else:  # the host's adapters (LoRA and its kin) have their tensors in `weights`; functions have a name
        digest.update(f"{getattr(value, '__qualname__', type(value).__qualname__)};".encode())
        _add(digest, getattr(value, "weights", None))


def recall(key: str) -> dict | None:
    """What was kept under `key`, as keep() got it. None where nothing is, or nothing that can be read."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if (kept["format"], kept["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"expected {_FORMAT} {_VERSION}, got {kept['format']} {kept['version']}")
        tried = [(float(speedup), float(psnr)) for speedup, psnr in kept["tried"]]
        tried[kept["chosen"]]
        return {"plan": native.native_module().Plan.from_json(json.dumps(kept["plan"])), "tried": tried,
                "chosen": int(kept["chosen"]), "reached": bool(kept["reached"]), "judged": float(kept["judged"])}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as fault:
        log.warning("ASDM: the plan kept in %s cannot be read and is looked for anew: %s", path, fault)
        return None


def keep(key: str, found: dict):
    """Keeps {"plan", "tried", "chosen", "reached", "judged"} of what was found, or says that the disk takes nothing."""
    kept = {"format": _FORMAT, "version": _VERSION, **found, "plan": json.loads(found["plan"].json())}
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(path) as unfinished:
            Path(unfinished).write_text(json.dumps(kept), encoding="utf-8")
    except OSError as fault:
        log.warning("ASDM: the plan could not be kept in %s: %s", path, fault)


def _path(key: str) -> Path:
    return Path(folder_paths.get_user_directory()) / "asdm" / "plans" / f"{key}.json"
