"""Calibrating a plan: runs as the host's own KSampler makes them, from whose losses native fits those of the user's own
model, prompt and sampler, and solves for the plan of least loss again (docs/plan.md)."""

import dataclasses
import itertools
import math
import time

import comfy.sample
import comfy.samplers
import comfy.utils
import torch

from .. import native
from ..pictures.plots import calibration_plot
from . import remembered_plans
from .carried_plans import trials
from .hosted_unet import PROMPT_TOKENS, hosted_unet
from .settings import settings_of
from .speed import Sampling, loss_table
from .telling import executing_node, show_on_nodes

# Equal latents count as this many dB.
_PSNR_OF_EQUAL = 100.0
_JUDGING_RUNS = 2  # with and without the plan, on latents that it was not found on
# How far ln(loss) may be from what a table says, tried in turn: where the first leads to no new plan, a table that
# follows what was measured more closely may.
_DOUBTS = (0.6, 0.3, 0.15)
# And where none of them does, plans of so much less work, which are about as close.
_LESS_WORK = (0.0, 0.01, 0.02, 0.03, 0.04)
# dB by which another plan must be closer than the dial's to take its place: closer by less on these pictures may be
# further off on others, and the dial's was made on none of them.
_LEAST_GAIN = 1.0
_ROUNDING = 1e-6  # of a share of the work that is planned
_COUNTED = 0.01  # of the share of a run: prompts of other lengths than plans count with


@dataclasses.dataclass(frozen=True)
class _Tried:
    sites: list
    value: str  # that stands in
    share: float  # of a full run's multiply-accumulates
    psnr: float

    @property
    def speedup(self) -> float:
        return 1.0 / self.share


def calibrate_plan(host, model, asked: dict) -> dict:
    """{"plan": Plan, "tried": [(speedup, psnr)], "chosen", "reached", "judged", "runs", "plot"}; see nodes/host.h.
    `host`: a ComfyHost."""
    exact = host.without_inheritance(model)
    if settings_of(exact).chain is not None:
        raise ValueError("ASDMCalibratePlan.model: expected a model of one UNet, got one that switches between "
                         "several; calibrate before ASDM Switch UNets")
    key = remembered_plans.key_of(exact, asked) if asked["remember"] == "yes" else None
    made = 0
    if key is None or (found := remembered_plans.recall(key)) is None:
        found, made = _found(host, model, exact, asked)
        if key is not None:
            remembered_plans.keep(key, found)
    return {**found, "runs": made, "plot": calibration_plot(found["tried"], found["chosen"], found["reached"],
                                                            asked["target_speedup"])}


def _found(host, model, exact, asked: dict) -> tuple[dict, int]:
    """(what calibrate_plan() gives but for the runs and the plot, the runs that it took)."""
    runs = _Runs(asked, native.native_module().runs_from(asked["effort"]))
    reference = runs.sampled(exact, asked["seed"])
    recorded = _recorded(settings_of(exact).reports[-1][1])
    search = _Search(model, recorded, reference, asked)
    while runs.left > _JUDGING_RUNS and (found := search.next()) is not None:
        following = host.with_inheritance(model, search.followed(found))
        latents = runs.sampled(following, asked["seed"])
        # Not the planned one: where hooks or conds change in mid-run, evaluations that were to inherit do not.
        share = settings_of(following).reports[-1][1]["mac_share"]
        search.tried.append(_Tried(found.sites, found.value, share, _psnr(reference, latents)))
        runs.best = search.tried[search.chosen]
    chosen = search.tried[search.chosen]
    plan, other_seed = search.followed(chosen), asked["seed"] + 1
    judged = _psnr(*(runs.sampled(judging, other_seed) for judging in (exact, host.with_inheritance(model, plan))))
    runs.end()
    return {"plan": plan, "tried": [(tried.speedup, tried.psnr) for tried in search.tried], "chosen": search.chosen,
            "reached": search.reaches(chosen), "judged": judged}, runs.made


def _recorded(report: dict):
    """The Plan of the exact run."""
    if report["fallback_calls"]:
        raise ValueError(f"ASDMCalibratePlan.model: expected a model that runs in the native engine, got calls that "
                         f"ran in the host's own forward ({'; '.join(report['fallback_reasons'])})")
    return native.native_module().Plan.from_json(report["plan"])


class _Search:
    """Which plan to run next, by what those before it lost. Nothing in it depends on time."""

    def __init__(self, model, recorded, latents: torch.Tensor, asked: dict):
        self.tried = []
        self._recorded, self._speedup = recorded, asked["target_speedup"]
        guider = comfy.samplers.CFGGuider(model)
        guider.set_cfg(asked["cfg"])
        schedule = comfy.samplers.KSampler(model, asked["steps"], model.load_device, asked["sampler_name"],
                                           asked["scheduler"], asked["denoise"]).sigmas
        sampler = comfy.samplers.sampler_object(asked["sampler_name"])
        carried = Sampling(sampler, schedule, guider, latents).carried
        self._evaluations = carried.evaluations
        self._may_forecast = carried.one_step and recorded.value == "hold"
        height, width = latents.shape[-2:]
        # The tokens of the dial, so that its plan is among those that are tried.
        self._run = {"unet": hosted_unet(model.model).unet, "height": height, "width": width, "tokens": PROMPT_TOKENS}

    def next(self):
        """A plan with `sites` and `share` that was not tried: that of the dial, that of `segment`, and then those of
        least loss by what all before them lost. None where nothing new is left, or nothing can be closer."""
        if not self.tried:
            return self._least_loss(loss_table())
        if self.tried[self.chosen].psnr >= _PSNR_OF_EQUAL:
            return None
        known = [(tried.sites, tried.value) for tried in self.tried]
        most = max(1.0 / self._speedup, self.tried[0].share)
        return next((found for found in self._candidates()
                     if (found.sites, found.value) not in known and found.share <= most + _ROUNDING), None)

    def _candidates(self):
        yield native.native_module().segment_plan(sigmas=[sigma for sigma, *_ in self._evaluations],
                                                  speedup=self._speedup, **self._run)
        measured = [(tried.sites, tried.psnr, tried.value) for tried in self.tried]
        tables = [loss_table().fitted(evaluations=self._evaluations, measured=measured, doubt=doubt, **self._run)
                  for doubt in _DOUBTS]
        for less, table in itertools.product(_LESS_WORK, tables):
            yield self._least_loss(table, less)

    def _least_loss(self, table, less_work: float = 0.0):
        return native.native_module().least_loss_plan(table=table, evaluations=self._evaluations,
                                                      speedup=self._speedup / (1.0 - less_work),
                                                      may_forecast=self._may_forecast, **self._run)

    def followed(self, found):
        """The Plan of a run with its `sites` and, where the model asks for none, its `value`."""
        return native.native_module().Plan(
            family=self._recorded.family, steps=self._recorded.steps, storage=self._recorded.storage,
            value=found.value if self._may_forecast else self._recorded.value,
            evaluations=[(sigma, at) for (sigma, *_), at in zip(self._evaluations, found.sites, strict=True)])

    def reaches(self, tried: _Tried) -> bool:
        return tried.share <= (1.0 + _COUNTED) / self._speedup

    @property
    def chosen(self) -> int:
        """Index of the closest that does as much less work as was asked, the dial's where that is not clear; where none
        does, of that which does least."""
        def merit(number: int) -> tuple:
            tried = self.tried[number]
            psnr = tried.psnr + (_LEAST_GAIN if number == 0 else 0.0)
            return self.reaches(tried), psnr if self.reaches(tried) else -tried.share
        return max(range(len(self.tried)), key=merit)


class _Runs:
    """Makes the runs, at most `most`, and tells on the node how far they are."""

    def __init__(self, asked: dict, most: int):
        self.made, self.best = 0, None  # best: the _Tried that was chosen so far
        self._asked, self._most = asked, most
        self._progress = comfy.utils.ProgressBar(most)
        self._node_ids = () if (node_id := executing_node()) is None else (node_id,)
        self._started = None  # behind the first run, which loads the model

    @property
    def left(self) -> int:
        return self._most - self.made

    @trials()
    def sampled(self, model, seed: int) -> torch.Tensor:
        """Latents of a run as the host's KSampler makes it, but without its previews, which would stand on the node in
        the place of the plot, and with the progress of all runs in the place of its own."""
        show_on_nodes(self._node_ids, self._told())
        asked, given = self._asked, self._asked["latent_image"]
        latents = comfy.sample.fix_empty_latent_channels(model, given["samples"])
        noise = comfy.sample.prepare_noise(latents, seed, given.get("batch_index"))
        samples = comfy.sample.sample(
            model, noise, asked["steps"], asked["cfg"], asked["sampler_name"], asked["scheduler"], asked["positive"],
            asked["negative"], latents, denoise=asked["denoise"], noise_mask=given.get("noise_mask"),
            disable_pbar=True, seed=seed)
        samples = samples.float().cpu()  # waits for a GPU
        self.made += 1
        self._started = self._started or time.perf_counter()
        self._progress.update(1)
        return samples

    def _told(self) -> str:
        told = [f"run {self.made + 1} of {self._most}"]
        if self.best is not None:
            told.append(f"best {self.best.speedup:.3g}x at {self.best.psnr:.0f} dB")
        if self.made > 1:
            told.append(_about((time.perf_counter() - self._started) / (self.made - 1) * self.left))
        return ", ".join(told)

    def end(self):
        """No more runs are needed."""
        self._progress.update_absolute(self._most)
        show_on_nodes(self._node_ids, f"runs: {self.made}")


def _about(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {math.ceil(seconds / 10) * 10} s"


def _psnr(reference: torch.Tensor, latents: torch.Tensor) -> float:
    """dB between latents [batch, ...], over the range of the reference: mean over the batch."""
    found = []
    for expected, given in zip(reference, latents, strict=True):
        error = float((expected - given).square().mean())
        peak = float(expected.max() - expected.min())
        found.append(min(10.0 * math.log10(peak ** 2 / error), _PSNR_OF_EQUAL) if error else _PSNR_OF_EQUAL)
    return sum(found) / len(found)
