"""Measures one batch of pictures under many settings: closeness to the native engine's pictures, and the seconds of the
evaluations between two native runs, so that what slows the machine slows both."""

import time

from support import measure
from support.demo_model import DemoModel
from support.evaluation_clock import EvaluationClock
from support.methods import run_node, with_method
from support.picture_set import DENOISE, Batch, Condition, Sources
from support.quality_settings import Setting
from support.scores import scores

# Settings between two native runs of a timed batch.
BRACKET = 4


class Unavailable(Exception):
    """This build of the pack refuses a setting; the message is the pack's own."""


class QualityRounds:
    def __init__(self, pack):
        self._pack, self._demo, self._clock = pack, DemoModel(pack), EvaluationClock()
        self._native = pack.host.comfy_host().with_native_engine(self._clock.add_to(self._demo.host_model))
        self._sources = None
        self._warm = False

    @property
    def demo(self) -> DemoModel:
        return self._demo

    def execute(self, node: str, inputs: dict) -> dict:
        """What a node of the pack's gives for the native model."""
        return run_node(node, self._pack, self._native, inputs)

    def _start_latents(self, batch: Batch, condition: Condition, wanted: list[str]):
        if condition.task == "text":
            return None
        if self._sources is None:
            self._sources = Sources(self._demo, self._native, wanted)
        return self._sources.of(batch)

    def _sample(self, model, batch: Batch, condition: Condition, start):
        """(latents, seconds). RuntimeError where the host's own UNet ran, whose time would mean nothing."""
        denoise = 1.0 if start is None else DENOISE
        latents, seconds = self._clock.timed(lambda: self._demo.sample(
            model, batch.prompts, batch.seeds, condition.sampler, condition.steps, start, denoise))
        report = self._pack.host.settings_of(model).reports[-1][1]
        if report["fallback_calls"]:
            raise RuntimeError(f"benchmark quality: expected the native engine alone, got fallbacks: "
                               f"{report['fallback_reasons']}")
        return latents, seconds

    def _model(self, setting: Setting, condition: Condition):
        try:
            return with_method(self._pack, self._native, setting, condition.steps)
        except (ValueError, RuntimeError) as refusal:
            raise Unavailable(str(refusal)) from refusal

    def check(self, setting: Setting, condition: Condition):
        """Raises Unavailable where this build does not know the setting."""
        self._model(setting, condition)

    def measure(self, condition: Condition, batch: Batch, settings: list[Setting], timed: bool, wanted: list[str],
                deadline: float):
        """Yields (setting, {"device", "native_s", "seconds", "psnr", "ssim"}) until `deadline`, a time.monotonic().
        `native_s` is None where not `timed`; `wanted` are the captions that image-to-image starts from in the whole
        set."""
        start = self._start_latents(batch, condition, wanted)
        if timed and not self._warm:
            self._sample(self._native, batch, condition, start)
            self._warm = True
        latents, before = self._sample(self._native, batch, condition, start)
        reference = self._demo.decode(latents).clone()
        for first in range(0, len(settings), BRACKET):
            if time.monotonic() > deadline:
                return
            bracket = settings[first:first + BRACKET]
            runs = [self._sample(self._model(setting, condition), batch, condition, start) for setting in bracket]
            native_s = None
            if timed:
                after = self._sample(self._native, batch, condition, start)[1]
                native_s, before = (before + after) / 2, after
            for setting, (latents, seconds) in zip(bracket, runs, strict=True):
                found = scores(self._pack, reference, self._demo.decode(latents))
                yield setting, {"device": measure.device_name(), "native_s": native_s and round(native_s, 4),
                                "seconds": round(seconds, 4), "psnr": [round(psnr, 3) for psnr, _ in found],
                                "ssim": [round(ssim, 5) for _, ssim in found]}
