"""Wrappers around the host's sampler calls: they make a run, count its evaluations and passes, and file its report."""

import hashlib
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from comfy.patcher_extension import WrappersMP

from .canvas import Canvas
from .carried_plans import leave_plan
from .chunks import advance_hooks
from .kept_memory import kept_memory_counted
from .plan_editor import remember_run
from .report import idle_compilation, other_caches
from .sampling_run import RUN_KEY, SamplingRun, run_of
from .settings import KEY, EngineSettings, settings_of
from .speed import Sampling, settings_at_speed
from .switching import SWITCH_KEY, switching
from .telling import tell_run


def latent_fingerprint(samples: torch.Tensor) -> str:
    """Names a latent by its content, so that a report node finds the run that made it."""
    data = samples.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(repr(tuple(data.shape)).encode() + data.numpy().tobytes()).hexdigest()


class LastPrediction:
    """A sampler's callback that remembers the last denoised latent: SamplerCustom gives it out beside the sampled."""

    def __init__(self, callback):
        self._callback = callback
        self._denoised = None

    def __call__(self, step, denoised, *args, **kwargs):
        self._denoised = denoised
        return self._callback(step, denoised, *args, **kwargs)

    def fingerprints(self, base_model) -> set:
        """As the host hands it on; empty where the sampler never called."""
        if self._denoised is None:
            return set()
        return {latent_fingerprint(base_model.process_latent_out(self._denoised.cpu()))}


@contextmanager
def running(run: SamplingRun, model_options: dict):
    """`run` is the one that the calls under these options belong to."""
    options = model_options.setdefault("transformer_options", {})
    run.other_caches = other_caches(model_options)
    run.notes += idle_compilation(model_options)
    for name in run.other_caches:
        run.settings.log_once(f"{name} works on the same model as ComfyUI-ASDM: the two skip work independently, and "
                          "errors add up; use one of them")
    options[RUN_KEY] = run
    try:
        yield
    finally:
        options.pop(RUN_KEY, None)
        run.close()


def _outer_sample(settings: EngineSettings):
    def outer_sample(executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, *args, **kwargs):
        guider = executor.class_obj
        last = None if callback is None else LastPrediction(callback)
        with ExitStack() as stack:
            patcher, switch, late_sigmas, makes = guider.model_patcher, None, sigmas, None
            sampling = Sampling(sampler, sigmas, guider, noise)
            if settings.chain is not None:
                switch = stack.enter_context(switching(settings, guider, sigmas, sampling, settings_of, running))
                late_sigmas, makes = switch.late_sigmas, switch.late_makes
            now = settings_at_speed(settings, patcher, late_sigmas, sampling, makes)
            run = SamplingRun(now, patcher, late_sigmas, switch)
            stack.enter_context(running(run, guider.model_options))
            stack.enter_context(kept_memory_counted(run, patcher))
            samples = executor(noise, latent_image, sampler, sigmas, denoise_mask, last, *args, **kwargs)
            if not run.superseded:
                file_report(run, {latent_fingerprint(samples)}, last, guider.model_patcher.model)
        return samples
    return outer_sample


def file_report(run: SamplingRun, fingerprints: set, last: LastPrediction | None, base_model):
    """Leaves the report where it is found by what the run gave: the sampled latent, or the last denoised one."""
    if last is not None:
        fingerprints = fingerprints | last.fingerprints(base_model)
    report = run.report() if run.switch is None else run.switch.report(run)
    run.settings.reports.append((fingerprints, report))
    if run.settings.inheritance:
        leave_plan(report["plan"])
    remember_run(run)
    tell_run(run.settings, report)


def _predict_noise(executor, x, timestep, model_options, seed=None):
    options = model_options.get("transformer_options", {})
    early = options[SWITCH_KEY].early_at(timestep) if SWITCH_KEY in options else None
    if early is not None:
        return early.predict(executor.class_obj, x, timestep, model_options, seed)
    run = run_of(options)
    if run is None:
        return executor(x, timestep, model_options, seed)
    _begin_evaluation(run, executor.class_obj.inner_model, x, timestep)
    with run.predicting():
        return executor(x, timestep, model_options, seed)


def _begin_evaluation(run: SamplingRun, base_model, x, timestep):
    run.begin_evaluation(timestep, base_model.model_sampling.calculate_input(timestep, x) if run.measures else None)


def _calc_cond_batch(executor, model, conds, x_in, timestep, model_options):
    run = run_of(model_options.get("transformer_options", {}))
    if run is not None:
        if run.is_new_evaluation(timestep):  # a guider that does not predict by the host's way
            _begin_evaluation(run, model, x_in, timestep)
        if run.settings.inheritance:
            advance_hooks(conds, run.sigma, timestep, model.current_patcher, model_options)
        run.add_devices(model_options.get("multigpu_clones", {}).values())
        conds = run.begin_pass(conds, Canvas(x_in, partial(model.model_sampling.calculate_input, timestep),
                                             "model_function_wrapper" in model_options))
    return executor(model, conds, x_in, timestep, model_options)


# What counts evaluations and passes of the run that the options name.
COUNTERS = {WrappersMP.PREDICT_NOISE: _predict_noise, WrappersMP.CALC_COND_BATCH: _calc_cond_batch}


def install_run(patcher, settings: EngineSettings):
    """Wraps the sampler calls of `patcher`; replaces what an earlier node of this pack installed."""
    for kind, wrapper in {WrappersMP.OUTER_SAMPLE: _outer_sample(settings), **COUNTERS}.items():
        patcher.remove_wrappers_with_key(kind, KEY)
        patcher.add_wrapper_with_key(kind, KEY, wrapper)
