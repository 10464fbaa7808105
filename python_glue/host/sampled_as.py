"""How a MODEL is sampled, as what travels in a file of its UNet: the marks by which the host's own loaders tell, and a
record of all of it, since they have marks for SDXL alone."""

import importlib
import logging

import comfy.latent_formats
import comfy.model_base
import comfy.model_sampling
import torch
from comfy.model_base import ModelType

from ..unet_file import SAMPLING_KEY, sampling_in

# The tensors that say how an SDXL is sampled.
MARKS = ("v_pred", "ztsnr", "edm_vpred.sigma_max", "edm_vpred.sigma_min", "edm_mean", "edm_std")
_FIELDS = ("family", "classes", "settings", "buffers", "latent_format", "concat")
_MAX_TIMESTEPS = 100_000
_NODES = "comfy_extras.nodes_model_advanced"  # where the host has samplings that no checkpoint names
_MODEL_TYPES = {
    ("ModelSamplingDiscrete", "V_PREDICTION"): ModelType.V_PREDICTION,
    ("ModelSamplingDiscrete", "IMG_TO_IMG"): ModelType.IMG_TO_IMG,
    ("ModelSamplingContinuousEDM", "V_PREDICTION"): ModelType.V_PREDICTION_EDM,
    ("ModelSamplingContinuousEDM", "EDM"): ModelType.EDM,
    ("ModelSamplingContinuousV", "V_PREDICTION"): ModelType.V_PREDICTION_CONTINUOUS,
}
# Models that predict velocity, or its negative, as EDM has it.
VELOCITY = frozenset(_MODEL_TYPES.values()) - {ModelType.IMG_TO_IMG}
log = logging.getLogger("asdm")


def prediction_of(patcher) -> str:
    """"v" or "eps", as a node may have patched it."""
    return "v" if isinstance(patcher.get_model_object("model_sampling"), comfy.model_sampling.V_PREDICTION) else "eps"


def _classes(sampling) -> list[str]:
    """[schedule, prediction]: the host's classes that `sampling` is made of; none where another pack's is among
    them."""
    schedules, predictions = [], []
    for cls in type(sampling).__mro__:
        known = cls.__module__ == comfy.model_sampling.__name__ or cls.__module__.endswith(_NODES.rpartition(".")[2])
        if known and len(cls.__bases__) == 1:  # else one that was put together of the two
            (schedules if issubclass(cls, torch.nn.Module) else predictions).append(cls.__name__)
        elif not known and cls is not torch.nn.Module and any(map(callable, vars(cls).values())) and cls is not object:
            return []
    return [schedules[0], predictions[0]] if schedules and predictions else []


def _class(name: str):
    return getattr(comfy.model_sampling, name, None) or getattr(importlib.import_module(_NODES), name)


def record_of(patcher) -> dict:
    """What sampled_as() takes; empty where another pack's code samples the model, which no file can keep."""
    model, sampling = patcher.model, patcher.get_model_object("model_sampling")
    classes = _classes(sampling)
    if not classes:
        log.warning("how this model is sampled cannot be kept in a file: %s is another pack's", type(sampling).__name__)
        return {}
    settings = dict(model.model_config.sampling_settings)
    settings |= {name: getattr(sampling, name) for name in ("zsnr", "sigma_data") if hasattr(sampling, name)}
    return {"family": type(model.model_config).__name__, "classes": classes, "settings": settings,
            "buffers": {name: tensor.tolist() for name, tensor in sampling.state_dict().items()},
            "latent_format": type(patcher.get_model_object("latent_format")).__name__,
            "concat": list(model.concat_keys)}


def marks_of(patcher) -> dict[str, torch.Tensor]:
    """The tensors beside the UNet by which the host's loaders know how an SDXL is sampled."""
    sampling = patcher.get_model_object("model_sampling")
    if not isinstance(patcher.model, comfy.model_base.SDXL) or prediction_of(patcher) == "eps":
        return {}
    if not isinstance(sampling, comfy.model_sampling.ModelSamplingContinuousEDM):
        return {name: torch.tensor([]) for name in MARKS[:2 if getattr(sampling, "zsnr", False) else 1]}
    if not isinstance(sampling, comfy.model_sampling.EDM):
        return {name: getattr(sampling, name.rpartition(".")[2]).float().cpu().clone() for name in MARKS[2:4]}
    latent_format = patcher.get_model_object("latent_format")
    if isinstance(latent_format, comfy.latent_formats.SDXL_Playground_2_5):
        return {"edm_mean": latent_format.latents_mean.clone(), "edm_std": latent_format.latents_std.clone()}
    return {}


def read_record(path: str, metadata: dict | None) -> dict:
    """The record in the metadata of the file at `path`; empty where it has none. ValueError where that is none."""
    record = sampling_in(path, metadata)
    try:
        if record:
            latent_format = getattr(comfy.latent_formats, record["latent_format"])
            parts = [issubclass(_class(name), torch.nn.Module) for name in record["classes"]]
            if parts != [True, False] or not issubclass(latent_format, comfy.latent_formats.LatentFormat):
                raise TypeError(f"the classes {record['classes']} and {record['latent_format']}")
            if not 0 < record["settings"].get("timesteps", 1) <= _MAX_TIMESTEPS:
                raise ValueError(f"{record['settings']['timesteps']} timesteps")
            record = {name: record[name] for name in _FIELDS}
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"{path}: expected how its UNet is sampled in the metadata {SAMPLING_KEY}, got {fault!r}"
                         ) from fault


def configure(config, record: dict):
    """Makes of a model config of the host's that of a model which is sampled as `record` says."""
    config.latent_format = getattr(comfy.latent_formats, record["latent_format"])()
    model_type = _MODEL_TYPES.get(tuple(record["classes"]), ModelType.EPS)
    config.model_type = lambda state_dict, prefix="": model_type


def sampled_as(model, record: dict, path: str):
    """Makes a BaseModel with such a config one that is sampled as `record` says. ValueError naming the file at `path`
    where that makes no sense."""
    model.model_config.sampling_settings = record["settings"]
    try:
        sampling = type("ModelSampling", tuple(map(_class, record["classes"])), {})(model.model_config)
        sampling.load_state_dict({name: torch.tensor(values) for name, values in record["buffers"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as fault:
        raise ValueError(f"{path}: expected how its UNet is sampled in the metadata {SAMPLING_KEY}, got {fault}"
                         ) from fault
    model.model_sampling = sampling
    model.model_type = model.model_config.model_type({})
    model.concat_keys = tuple(map(str, record["concat"]))
