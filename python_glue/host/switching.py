"""Several UNets in one sampling run, each for the evaluations that the chain gives it (native/switching). The late one
is the MODEL that the sampler sees; the early ones are its additional models, so that the host counts and moves their
weights."""

import itertools
from contextlib import ExitStack, contextmanager
from functools import partial

import comfy.samplers
from comfy.model_patcher import create_model_options_clone
from comfy.patcher_extension import WrappersMP
from comfy.sampler_helpers import prepare_model_patcher

from .. import native
from .dynamic_vram import hookable
from .kept_memory import kept_memory_counted
from .report import switched_report
from .sampling_run import SamplingRun
from .settings import KEY
from .speed import Sampling, settings_at_speed
from .standing_in import standing_in

SWITCH_KEY = "asdm_switch"
# What the host runs around a whole run: there is one of it, the late UNet's.
_AROUND_THE_RUN = (WrappersMP.OUTER_SAMPLE, WrappersMP.SAMPLER_SAMPLE)


def _traits(patcher) -> dict:
    """What UNets must agree in to take over from each other in the middle of a run."""
    config = patcher.model.model_config.unet_config
    prediction = next(base.__name__ for base in reversed(type(patcher.get_model_object("model_sampling")).__bases__))
    return {"latent format": type(patcher.get_model_object("latent_format")).__name__, "prediction type": prediction,
            "input channels": config["in_channels"], "output channels": config["out_channels"],
            "width of the text features": config["context_dim"],
            "width of the vector conditioning": config.get("adm_in_channels") or 0}


def check_weights(late, early):
    """ValueError where two MODELs hold the same weights."""
    if early.model is late.model:
        raise ValueError("ASDMSwitchUNets.early_model: expected a UNet with weights of its own, got the weights of "
                         "model; load the checkpoint a second time to switch between LoRAs or settings")


def check_pair(late, early):
    """ValueError naming the first trait in which two MODELs differ, or that they hold the same weights."""
    check_weights(late, early)
    of_late, of_early = _traits(late), _traits(early)
    for name, expected in of_late.items():
        if of_early[name] != expected:
            raise ValueError(f"ASDMSwitchUNets.early_model: expected {name} {expected}, as model has, "
                             f"got {of_early[name]}")


def check_chain(unets: list):
    """ValueError where neighbours cannot follow each other, or two hold the same weights, which the host patches for
    one of them."""
    for early, late in itertools.pairwise(unets):
        check_pair(late, early)
    for early, late in itertools.combinations(unets, 2):
        check_weights(late, early)


def unets_of(patcher, settings) -> tuple[list, list]:
    """(chain, patchers) of a MODEL: [(number, share of the run until which it runs)], and the UNets by number."""
    if settings.chain is None:
        return [(0, 1.0)], [patcher]
    return list(settings.chain), [*patcher.get_additional_models_with_key(KEY), patcher]


class _EarlyUNet:
    """One of the UNets before the last: its own options, patches and run."""

    def __init__(self, patcher, settings, guider, sigmas, sampling: Sampling, makes):
        self.patcher = patcher
        self.run = SamplingRun(settings_at_speed(settings, patcher, sigmas, sampling, makes), patcher, sigmas)
        self._options = create_model_options_clone(patcher.model_options)
        self._options.setdefault("transformer_options", {})
        prepare_model_patcher(patcher, guider.conds, self._options)
        self._drop_what_needs_the_whole_run()

    @property
    def options(self) -> dict:
        return self._options

    def _drop_what_needs_the_whole_run(self):
        wrappers = self._options["transformer_options"].get("wrappers", {})
        foreign = {key for kind in _AROUND_THE_RUN for key in wrappers.get(kind, {}) if key != KEY}
        for kind in wrappers:
            for key in foreign if kind in _AROUND_THE_RUN else foreign - {None}:
                wrappers[kind].pop(key, None)
        if foreign:
            self.run.notes.append("what wraps whole runs is taken from the late model, not from this one: "
                                  + ", ".join(sorted(map(str, foreign))))

    def _with_additions(self, of_guider: dict, given: dict) -> dict:
        """Own options, and what the sampler added to those of the late UNet for its run."""
        options = create_model_options_clone(self._options)
        for own, before, now in ((options, of_guider, given),
                                 (options["transformer_options"], of_guider.get("transformer_options", {}),
                                  given.get("transformer_options", {}))):
            for name, value in now.items():
                if name not in before:
                    own[name] = value if not isinstance(value, list) else [*own.get(name, ()), *value]
                elif isinstance(value, list) and len(value) > len(before[name]):
                    own[name] = [*own.get(name, ()), *value[len(before[name]):]]
        return options

    def predict(self, guider, x, timestep, model_options, seed):
        """The guider's prediction, with this UNet in the place of the late one."""
        if self.patcher.model.current_patcher is not self.patcher:
            self.patcher.pre_run()
        options = self._with_additions(guider.model_options, model_options)
        with ExitStack() as stack:
            for name, value in (("inner_model", self.patcher.model), ("model_patcher", self.patcher),
                                ("model_options", options)):
                stack.enter_context(standing_in(guider, name, value))
            return guider.outer_predict_noise(x, timestep, options, seed)


class SwitchedRun:
    """The UNets of one run, and which of them made each evaluation."""

    def __init__(self, settings, guider, sigmas, sampling: Sampling, settings_of_early):
        chain, patchers = unets_of(guider.model_patcher, settings)
        self._schedule = native.native_module().UNetSchedule(chain, sigmas.tolist())
        self.early = [
            _EarlyUNet(patcher, of, guider, self._part(sigmas, position), sampling, partial(self._makes, position))
            for position, (patcher, of) in enumerate(zip(patchers[:-1], settings_of_early, strict=True))]
        self.late_sigmas = self._part(sigmas, len(self.early))
        self._order = []

    def __deepcopy__(self, memo):
        return self  # lives in model options

    def _part(self, sigmas, position: int):
        first, last = self._schedule.steps(position)
        return sigmas[first:last + 1]

    def _makes(self, position: int, sigma: float) -> bool:
        return self._schedule.at(sigma) == position

    def late_makes(self, sigma: float) -> bool:
        """Whether the late UNet makes an evaluation at `sigma`."""
        return self._makes(len(self.early), sigma)

    def early_at(self, sigmas):
        """The early UNet that evaluates at `sigmas` [batch]; None for the late one. Books the evaluation."""
        position = self._schedule.at(float(sigmas.max()))
        if self._order and self._order[-1] != position:
            for unet in self.early:
                unet.run.clear()
        self._order.append(position)
        return self.early[position] if position < len(self.early) else None

    def report(self, late: SamplingRun) -> dict:
        return switched_report([unet.run for unet in self.early] + [late], self._order)


@contextmanager
def switching(settings, guider, sigmas, sampling: Sampling, settings_of, running):
    """The SwitchedRun of a run of `settings`, found through the options of `guider`; all of it goes with the run.
    `settings_of` and `running`: of the seam and the wrappers, which know this module."""
    given = unets_of(guider.model_patcher, settings)[1][:-1]
    early = [hookable(patcher, guider.conds) for patcher in given]
    options = guider.model_options.setdefault("transformer_options", {})
    modes = [patcher.hook_mode for patcher in early]
    with ExitStack() as stack:
        if early != given:  # what the host loads are a MODEL's additional models
            stack.callback(guider.model_patcher.set_additional_models, KEY, given)
            guider.model_patcher.set_additional_models(KEY, early)
        try:
            for patcher in early:
                patcher.hook_mode = guider.model_patcher.hook_mode
            switched = SwitchedRun(settings, guider, sigmas, sampling, [settings_of(patcher) for patcher in early])
            for unet in switched.early:
                comfy.samplers.cast_to_load_options(unet.options, device=unet.patcher.load_device,
                                                    dtype=unet.patcher.model_dtype())
                stack.enter_context(running(unet.run, unet.options))
                stack.enter_context(kept_memory_counted(unet.run, unet.patcher))
            options[SWITCH_KEY] = switched
            yield switched
        finally:
            options.pop(SWITCH_KEY, None)
            for patcher, mode in zip(early, modes, strict=True):
                if patcher.model.current_patcher is patcher:  # an interrupt: the host did not come to it
                    patcher.cleanup()
                patcher.hook_mode = mode
                patcher.restore_hook_patches()
