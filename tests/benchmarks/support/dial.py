"""The dial `speed` under one condition, by multiply-accumulates: needs no quiet machine."""

from statistics import mean

import torch
from support.dial_conditions import DialCondition
from support.features import hinted_control_net, with_lora
from support.frontier import Point
from support.methods import run_node
from support.peer_caches import first_block_cache_of
from support.perceptual import Perceptual
from support.scores import scores

LORA_STRENGTH, CONTROL_STRENGTH = 0.3, 0.3


def start_of(demo, model, numbers: list[int], seed: int) -> torch.Tensor:
    """The latents that image-to-image starts from: of the captions with these numbers."""
    known = demo.prompts
    return demo.sample(model, [known[number % len(known)] for number in numbers], [seed] * len(numbers), "euler", 20)


class Dial:
    """Runs of one condition. `model`: the MODEL that inherits nothing; `evaluations` of its run."""

    def __init__(self, pack, demo, condition: DialCondition):
        import comfy.samplers
        self._pack, self._demo, self._condition = pack, demo, condition
        pictures, model = condition.pictures, demo.host_model
        self.model = pack.host.comfy_host().with_native_engine(
            with_lora(model, LORA_STRENGTH) if condition.beside == "LoRA" else model)
        self._control = {}
        if condition.beside == "ControlNet":
            self._control = {"control": hinted_control_net(model, CONTROL_STRENGTH), "control_apply_to_uncond": True}
        known = demo.prompts
        self._prompts = [known[(61 * number + 17) % len(known)] for number in range(pictures)]
        self._seeds = list(range(21, 21 + pictures))
        steps = round(condition.steps / condition.denoise)
        schedule = comfy.samplers.KSampler(self.model, steps, torch.device("cpu"), condition.sampler,
                                           condition.scheduler).sigmas
        self._sigmas = schedule[-(condition.steps + 1):]
        self._start = None
        if condition.denoise < 1.0:
            self._start = start_of(demo, self.model, [61 * number + 70 for number in range(pictures)], 0)
        self._exact = self._sampled(self.model)
        self.evaluations = self._report(self.model)["evaluations"]

    def _sampled(self, model) -> torch.Tensor:
        import comfy.sample
        import comfy.samplers
        noise = self._demo.noise(self._seeds)
        positive, negative = ([[features, extra | self._control] for features, extra in self._demo.conditioning(texts)]
                              for texts in (self._prompts, [""] * len(self._prompts)))
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                model, noise, self._condition.cfg, comfy.samplers.sampler_object(self._condition.sampler), self._sigmas,
                positive, negative, torch.zeros_like(noise) if self._start is None else self._start, disable_pbar=True,
                seed=self._seeds[0])

    def _report(self, model) -> dict:
        return self._pack.host.settings_of(model).reports[-1][1]

    def point(self, model) -> Point:
        """How many times less work, and how close. An evaluation that another cache took from the engine is one of the
        run's, and saved in its `mac_share`."""
        latents, first_block_cache = self._sampled(model), first_block_cache_of(model)
        return Point(self._speed(model) if first_block_cache is None else 1.0 / first_block_cache.share,
                     self._psnr(latents))

    def judged(self, model, perceptual: Perceptual) -> tuple[Point, dict]:
        """The point of a run of `model`, and the SSIM and LPIPS of its pictures to those without inheritance."""
        latents = self._sampled(model)
        exact, pictures = (self._demo.decode(one).clamp(0, 1) for one in (self._exact, latents))
        return Point(self._speed(model), self._psnr(latents)), {
            "ssim": round(mean(ssim for _, ssim in scores(self._pack, exact, pictures)), 4),
            "lpips": round(mean(perceptual.distances(exact, pictures)), 4)}

    def _speed(self, model) -> float:
        report = self._report(model)
        return self.evaluations / (report["evaluations"] * report["mac_share"])

    def _psnr(self, latents: torch.Tensor) -> float:
        miss = (latents - self._exact).square().mean((1, 2, 3))
        peak = self._exact.amax((1, 2, 3)) - self._exact.amin((1, 2, 3))
        return (10 * torch.log10(peak.square() / miss.clamp(min=1e-12))).mean().item()

    def as_said(self, model) -> bool:
        """Whether the report of the last run of `model` names the work that it did."""
        report = self._report(model)
        planned = f": {1 / report['mac_share']:.2f} times less work planned"
        return any(planned in note or ": nothing is inherited" in note for note in report["notes"])

    def at(self, speed: str):
        """The MODEL with the dial at `speed`."""
        return run_node("ASDMFeatureInheritance", self._pack, self.model, {"speed": speed})["outputs"][0]

    def ours(self, speed: str) -> Point:
        return self.point(self.at(speed))
