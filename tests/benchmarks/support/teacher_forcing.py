"""What single evaluations miss under inheritance: a model that inherits, at the inputs of a run without."""

import torch
from support.demo_model import CFG


class Trajectory:
    """The evaluations of one run of the demo model without inheritance. `sigmas`: of each, as a number."""

    def __init__(self, pack, demo, sampler: str, steps: int, scheduler: str, prompts: list[str]):
        import comfy.samplers
        from comfy.patcher_extension import WrappersMP
        self._pack, self._demo, self._prompts = pack, demo, prompts
        self._native = pack.host.comfy_host().with_native_engine(demo.host_model)
        self._schedule = comfy.samplers.KSampler(self._native, steps, torch.device("cpu"), sampler, scheduler).sigmas
        self._evaluations = []
        recorded = self._native.clone()
        recorded.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "trajectory", self._record)
        self._sample(recorded, comfy.samplers.sampler_object(sampler))
        self.sigmas = [float(sigma.max()) for _, sigma, _ in self._evaluations]

    def _record(self, executor, x, sigma, *args, **kwargs):
        denoised = executor(x, sigma, *args, **kwargs)
        self._evaluations.append((x.clone(), sigma.clone(), denoised.clone()))
        return denoised

    def _sample(self, model, sampler):
        import comfy.sample
        noise = self._demo.noise(list(range(1, len(self._prompts) + 1)))
        positive, negative = (self._demo.conditioning(texts) for texts in (self._prompts, [""] * len(self._prompts)))
        with torch.inference_mode():
            comfy.sample.sample_custom(model, noise, CFG, sampler, self._schedule, positive, negative,
                                       torch.zeros_like(noise), disable_pbar=True, seed=1)

    def misses(self, cut: str, first: int, period: int):
        """Yields (index, index of the evaluation before that computed the cut, miss) of a run in which the evaluations
        `first` + n * `period` are full and those between inherit `cut`. miss: root of the mean square."""
        import comfy.samplers
        total = len(self._evaluations)
        full = [index for index in range(total) if index < first or (index - first) % period == 0 or index == 0]
        sites = [[] if index in full else [cut] for index in range(total)]
        plan = self._pack.native.native_module().Plan(family="sd1", steps=total,
                                                      evaluations=list(zip(self.sigmas, sites, strict=True)))
        denoised = []

        def forced(model, x, sigmas, extra_args=None, **_):
            for own, sigma, _ in self._evaluations:
                denoised.append(model(own, sigma, **(extra_args or {})).clone())
            return x
        self._sample(self._pack.host.comfy_host().with_inheritance(self._native, plan), comfy.samplers.KSAMPLER(forced))
        before = 0
        for index, (found, (_, _, exact)) in enumerate(zip(denoised, self._evaluations, strict=True)):
            if sites[index]:
                yield index, before, (found - exact).float().square().mean().sqrt().item()
            else:
                before = index
