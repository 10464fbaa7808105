"""ComfyUI as the nodes see it: the implementation of nodes/host.h."""

import dataclasses
import json

import folder_paths
import torch

from .. import native
from ..pictures.plots import loss_plot
from ..pictures.run_strip import run_strip
from ..pictures.scores import compare
from .assembly import assemble_unet, save_unet, with_experts
from .dynamic_vram import engine_clone
from .hosted_training import calibrate_unet, distil_unet
from .hosted_unet import hosted_unet
from .loader import load_unet
from .plan_calibration import calibrate_plan
from .run_wrappers import latent_fingerprint
from .sampler import InheritingSampler, sampler_reports
from .seam import install
from .settings import KEY, EngineSettings, dtype_of, new_reports, settings_of, told_inheritance
from .switching import check_chain, check_pair, unets_of
from .telling import executing_node
from .unet_config import describe


def _is_batch(value) -> bool:
    return torch.is_tensor(value) and value.dim() >= 3 and value.shape[0] > 0


# What objects of the graph are, by kind: in words, and how to tell.
_EXPECTED = {
    "MODEL": ("a MODEL", lambda value: hasattr(value, "model_options") and hasattr(value, "model")),
    "LATENT": ("a LATENT of at least one picture",
               lambda value: isinstance(value, dict) and _is_batch(value.get("samples"))),
    "CONDITIONING": ("a CONDITIONING of at least one text", lambda value: isinstance(value, list) and value and all(
        isinstance(cond, (list, tuple)) and len(cond) == 2 and isinstance(cond[1], dict) for cond in value)),
    "SAMPLER": ("a SAMPLER", lambda value: hasattr(value, "sample")),
    "IMAGE": ("an IMAGE of at least one picture", _is_batch),
}


class ComfyHost:
    """Knows of the node that runs no more than it is told; a MODEL is a ModelPatcher, a LATENT a dict with "samples", a
    SAMPLER a comfy.samplers.Sampler, an IMAGE a tensor [batch, height, width, channels] of values 0..1."""

    def __init__(self, tells_runs: bool = True):
        """`tells_runs`: whether the node that runs shows what runs with its settings gain."""
        self._tells_runs = tells_runs

    def expected_instead(self, kind: str, value) -> str | None:
        """What an input of this `kind` expects where `value` is something else; None where it is that."""
        meant, holds = _EXPECTED[kind]
        return None if holds(value) else meant

    def list_models(self, folder: str) -> list[str]:
        return folder_paths.get_filename_list(folder)

    def model_path(self, folder: str, name: str) -> str:
        return folder_paths.get_full_path_or_raise(folder, name)

    def load_unet(self, path: str, layout: dict, weight_dtype: str):
        return load_unet(path, layout, dtype_of(weight_dtype))

    def save_unet(self, model, filename_prefix: str) -> str:
        return save_unet(model, filename_prefix)

    def assemble_unet(self, model, spec):
        return self._with_settings_of(model, assemble_unet(model, spec))

    def with_experts(self, model, spec, starts: list, teacher):
        return self._with_settings_of(model, with_experts(model, spec, starts, teacher))

    def _with_settings_of(self, model, changed):
        """`changed`, another UNet made of that of `model`: the settings go on, the engine does not."""
        settings = settings_of(model)
        if settings is not None:
            changed.set_additional_models(KEY, [])  # the UNets before this one in a chain
            install(changed, dataclasses.replace(settings, chain=None, reports=new_reports(), logged=set()))
        return changed

    def calibrate_unet(self, teacher, student, conditioning: list, latent: dict | None):
        return self._with_settings_of(student, calibrate_unet(teacher, student, conditioning, latent))

    def distil_unet(self, teacher, student, latents: dict, conditioning: list, options: dict) -> tuple:
        model, losses = distil_unet(teacher, student, latents, conditioning, options)
        return self._with_settings_of(student, model), loss_plot(losses)

    def describe_model(self, model) -> dict:
        return describe(model.model)

    def _with(self, model, **changes):
        settings = dataclasses.replace(settings_of(model) or EngineSettings(), reports=new_reports(), logged=set(),
                                       **changes)
        settings = dataclasses.replace(settings, node_ids=self._with_this_node(settings.node_ids))
        hosted_unet(model.model).inheritance(settings)  # an unknown site is an error of this node, not of the sampler
        clone = engine_clone(model)
        install(clone, settings)
        return clone

    def with_native_engine(self, model, compute_dtype: str = "auto"):
        return self._with(model, compute_dtype=dtype_of(compute_dtype))

    def with_inheritance(self, model, inheritance, where: str = ""):
        """`inheritance`: the native module's InheritanceRequest or Plan."""
        before = settings_of(model)
        notes = () if before is None or before.inheritance is None else (
            f"replaces the inheritance that a node before it had set ({told_inheritance(before.inheritance)})",)
        return self._with(model, inheritance=inheritance, asked_at=where, notes=notes)

    def without_inheritance(self, model):
        return self._with(model, inheritance=None, notes=())

    def calibrate_plan(self, model, asked: dict) -> dict:
        return calibrate_plan(self, model, asked)

    def with_early_unet(self, model, early, share: float):
        """ValueError where the two cannot follow each other in one run."""
        check_pair(model, early)
        late, early = (m if settings_of(m) else self._with(m) for m in (model, early))
        early_chain, early_unets = unets_of(early, settings_of(early))
        late_chain, late_unets = unets_of(late, settings_of(late))
        chain = native.native_module().switched_chain(early_chain, len(early_unets), late_chain, share)
        unets = [[*early_unets, *late_unets][number] for number, _ in chain]
        check_chain(unets)
        shares = tuple((number, until) for number, (_, until) in enumerate(chain))
        told = tuple(dict.fromkeys(node_id for unet in unets for node_id in settings_of(unet).node_ids))
        switched = self._with(unets[-1], chain=shares if len(shares) > 1 else None, node_ids=told)
        switched.set_additional_models(KEY, unets[:-1])
        return switched

    def wrap_sampler(self, sampler, inheritance, where: str = ""):
        return InheritingSampler(sampler, inheritance, where, self._with_this_node(()))

    def _with_this_node(self, node_ids: tuple) -> tuple:
        """`node_ids` and the node that runs now, where that tells of runs."""
        node_id = executing_node() if self._tells_runs else None
        return node_ids if node_id is None or node_id in node_ids else (*node_ids, node_id)

    def run_report(self, model, latent: dict) -> str:
        settings = settings_of(model)
        wanted = latent_fingerprint(latent["samples"])
        known = sampler_reports(model) if settings is None else settings.reports
        for fingerprints, report in reversed(known):
            if wanted in fingerprints:
                return json.dumps(report)
        return json.dumps({"found": False, "reason": _why_no_report(settings, known)})

    def run_strip(self, report_json: str) -> torch.Tensor:
        return run_strip(json.loads(report_json))

    def compare_images(self, reference: torch.Tensor, image: torch.Tensor, gain: float) -> tuple:
        return compare(reference, image, gain)


def _why_no_report(settings, known) -> str:
    """What to connect to ASDM Report, where none of the `known` reports of the model is of the latent."""
    if known:
        return "connect the LATENT as the sampler gave it, before any node that changes it"
    if settings is None:
        return ("the model has no ASDM node before it, or a merge or another node behind that one dropped it, and no "
                "ASDM Wrap Sampler ran with it; put the ASDM node last, right before the sampler, and connect the "
                "MODEL that the sampler used")
    return ("no sampler has made a step with this model; connect the one that the sampler used, and see that it has "
            "steps to make (a denoise of 0 leaves none)")


def comfy_host(tells_runs: bool = True) -> ComfyHost:
    return ComfyHost(tells_runs)
