"""A SAMPLER that carries feature inheritance to whatever MODEL it meets."""

import dataclasses
import weakref
from contextlib import ExitStack

import comfy.samplers
import torch
from comfy.model_patcher import create_model_options_clone

from .kept_memory import kept_memory_counted
from .run_wrappers import COUNTERS, LastPrediction, file_report, latent_fingerprint, running
from .sampling_run import SamplingRun, run_of
from .seam import add_seam
from .settings import KEY, EngineSettings, new_reports, settings_of
from .speed import Sampling, settings_at_speed
from .standing_in import standing_in

_WHERE = "ASDMWrapSampler"
# Reports of runs on models that carry nothing of this pack, by MODEL.
_reports = weakref.WeakKeyDictionary()


def sampler_reports(model):
    """(latent fingerprints, report) of the runs that wrapped samplers made on `model`, a MODEL without settings of
    this pack."""
    return _reports.get(model, ())


def _with_run(model_options: dict, settings: EngineSettings, spec) -> dict:
    """A copy of `model_options` in which the engine runs, and evaluations and passes are counted."""
    options = create_model_options_clone(model_options)
    add_seam(options, settings, spec)
    wrappers = options.setdefault("transformer_options", {}).setdefault("wrappers", {})
    for kind, wrapper in COUNTERS.items():
        wrappers.setdefault(kind, {})[KEY] = [wrapper]
    return options


class InheritingSampler(comfy.samplers.Sampler):
    """Samples as `sampler` does; for the time of each call the UNet it meets runs in the engine and inherits."""

    def __init__(self, sampler, inheritance: dict, where: str = "", node_ids: tuple = ()):
        self._sampler = sampler
        self._node_ids = node_ids
        self._inheritance = inheritance
        self._where = where

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._sampler, name)  # other packs look at a sampler's function and options

    @property
    def sampled_by(self):
        """The sampler that makes the steps."""
        return getattr(self._sampler, "sampled_by", self._sampler)

    def max_denoise(self, model_wrap, sigmas):
        return self._sampler.max_denoise(model_wrap, sigmas)

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
        patcher = model_wrap.model_patcher
        outer = run_of(extra_args["model_options"].get("transformer_options", {}))
        switch = None if outer is None else outer.switch
        late_sigmas, makes = (sigmas, None) if switch is None else (switch.late_sigmas, switch.late_makes)
        settings = settings_at_speed(self._settings(patcher), patcher, late_sigmas,
                                     Sampling(self, sigmas, model_wrap, noise), makes)
        run = SamplingRun(settings, patcher, late_sigmas, switch, _WHERE)
        if outer is not None:
            self._supersede(outer, run)
        last = None if callback is None else LastPrediction(callback)
        spec = run.hosted.spec
        options = _with_run(extra_args["model_options"], settings, spec)
        with ExitStack() as stack:
            stack.enter_context(kept_memory_counted(run, patcher))
            stack.enter_context(standing_in(model_wrap, "model_options",
                                            _with_run(model_wrap.model_options, settings, spec)))
            stack.enter_context(running(run, options))
            samples = self._sampler.sample(model_wrap, sigmas, {**extra_args, "model_options": options}, last, noise,
                                           *args, **kwargs)
            given = model_wrap.inner_model.process_latent_out(samples.to(torch.float32))
            if not run.superseded:
                file_report(run, {latent_fingerprint(given)}, last, patcher.model)
        return samples

    @staticmethod
    def _supersede(outer: SamplingRun, run: SamplingRun):
        outer.superseded = True
        if not outer.settings.inheritance:
            return
        others = "the one around it" if outer.where == _WHERE else "the model"
        run.notes.append(f"the settings of the sampler were in force, those of {others} were not")
        run.settings.log_once(f"{_WHERE}: {others} carries an inheritance of its own; that of the sampler wins")

    def _settings(self, patcher) -> EngineSettings:
        """Those of the model's own engine, with this inheritance."""
        settings = settings_of(patcher)
        if settings is None:
            settings = EngineSettings(reports=_reports.setdefault(patcher, new_reports()))
        return dataclasses.replace(settings, inheritance=self._inheritance, asked_at=self._where,
                                   node_ids=(*settings.node_ids, *self._node_ids))
