"""Plans that ASDMCalibratePlan found, kept in the host's user folder: the same model, sampled in the same way, is given
its plan without a run, whatever the prompt and seed (docs/plan.md)."""

import hashlib
import inspect
import json
import logging
from pathlib import Path

import folder_paths
import torch
from comfy.weight_adapter import WeightAdapterBase

from .. import native
from ..unet_file import atomically
from .hosted_unet import hosted_unet
from .settings import KEY, settings_of

log = logging.getLogger("asdm")

_FORMAT, _VERSION = "asdm.calibrated", 1
# What of the run decides on the plan beside the model; the prompt, the seed and the number of pictures do not.
_SAMPLED_AS = ("steps", "cfg", "sampler_name", "scheduler", "denoise", "target_speedup", "effort")
_SAMPLING = "model_sampling"
_READ_OF_A_TENSOR = 16  # numbers, evenly spaced: enough to tell models apart, and quick


class _Unnamed(ValueError):
    """Something that a key could not tell from another of its kind."""


def key_of(model, asked: dict) -> str | None:
    """Names the plan of `model` sampled as `asked`, which has the node's inputs. None, and a word in the log, where the
    model has something on it that another could not be told from: then nothing is remembered."""
    latents = asked["latent_image"]["samples"]
    digest = hashlib.sha256()
    try:
        _add(digest, [_FORMAT, _VERSION, [asked[name] for name in _SAMPLED_AS], list(latents.shape[-2:])])
        _add(digest, ["control" in options for _, options in (*asked["positive"], *asked["negative"])])
        _add(digest, [hosted_unet(model.model).spec.json(), settings_of(model).compute_dtype])
        _add_weights(digest, model)
        _add(digest, {name: value for name, value in model.object_patches.items() if name != _SAMPLING})
        sampling = model.get_model_object(_SAMPLING)  # a class of its own for each kind of prediction
        _add(digest, [[base.__qualname__ for base in type(sampling).__mro__], sampling.sigmas])
        _add(digest, _without_ours(model.model_options))
    except RecursionError:  # of functions that close over themselves
        return _not_remembered("a function that calls itself")
    except _Unnamed as unnamed:
        return _not_remembered(unnamed)
    return digest.hexdigest()


def _not_remembered(what) -> None:
    log.warning("ASDM: the plan is not remembered, as the model carries %s", what)


def _add_weights(digest, model):
    for name, weight in sorted(model.model.diffusion_model.state_dict().items()):
        # A loaded model's weights may have its patches in them already; the backup is of those without.
        kept = model.backup.get(f"diffusion_model.{name}")
        _add(digest, [name, weight if kept is None else getattr(kept, "weight", kept)])
    _add(digest, model.patches)


def _without_ours(options):
    if not isinstance(options, dict):
        return options
    return {name: _without_ours(value) for name, value in options.items() if name != KEY}


def _add(digest, value):
    """Adds what a value is: tensors by some of their numbers, functions by their name and what they close over."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().reshape(-1)
        places = [flat.numel() * place // _READ_OF_A_TENSOR for place in range(_READ_OF_A_TENSOR)] if len(flat) else []
        digest.update(f"{tuple(value.shape)} {flat[places].tolist()};".encode())
    elif value is None or isinstance(value, (str, int, float, torch.dtype, torch.device)):
        digest.update(f"{value!r};".encode())
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            _add(digest, [str(name), value[name]])
    elif isinstance(value, (list, tuple, set, frozenset)):
        digest.update(f"[{len(value)}:".encode())
        for part in sorted(value, key=str) if isinstance(value, (set, frozenset)) else value:
            _add(digest, part)
    elif inspect.isfunction(value):
        # Its name and its code tell which one it is; two of the same code differ in these.
        _add(digest, [value.__module__, value.__qualname__, value.__defaults__, value.__kwdefaults__,
                      [_content(cell) for cell in value.__closure__ or ()]])
    elif isinstance(value, WeightAdapterBase):
        _add(digest, [type(value).__qualname__, value.weights])
    else:
        raise _Unnamed(f"a {type(value).__module__}.{type(value).__qualname__}")


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        raise _Unnamed("a function that is not whole") from None


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
