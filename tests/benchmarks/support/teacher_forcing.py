"""What single evaluations miss under inheritance: a model that inherits, at the inputs of a run without."""

import importlib
from types import SimpleNamespace

import torch
from support.demo_model import CFG


def root_of(miss: torch.Tensor) -> float:
    return miss.float().square().mean().sqrt().item()


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
        self._sampler = comfy.samplers.sampler_object(sampler)
        self._latents = self._sample(recorded, self._sampler)
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
            latents = comfy.sample.sample_custom(model, noise, CFG, sampler, self._schedule, positive, negative,
                                                 torch.zeros_like(noise), disable_pbar=True, seed=1)
        return self._native.model.process_latent_in(latents)  # on the sampler's scale

    @property
    def peaks(self) -> torch.Tensor:
        """[pictures]: the range of the final latents of each, on the sampler's scale."""
        return self._latents.amax(dim=(1, 2, 3)) - self._latents.amin(dim=(1, 2, 3))

    def carried(self, slope=None) -> list[tuple]:
        """The evaluations of the run as the dial sees them; with a denoiser of that slope where it is given."""
        glue = importlib.import_module(f"{self._pack.host.__package__}.speed")
        if slope is None:
            guider = SimpleNamespace(model_patcher=self._native, cfg=CFG)
            return glue.Sampling(self._sampler, self._schedule, guider, torch.zeros(1, 4, 8, 8)).carried.evaluations
        return glue.carried_evaluations(self._sampler, self._schedule, self._native, slope).evaluations

    def renewed(self) -> list[tuple]:
        """How much of the input of each evaluation was drawn anew since each before it, as the dial sees it."""
        return [renewed for *_, renewed in self.carried()]

    def _plan(self, sites: list[list[str]], value: str = "hold"):
        return self._pack.native.native_module().Plan(family="sd1", steps=len(sites), value=value,
                                                      evaluations=list(zip(self.sigmas, sites, strict=True)))

    def arrivals(self, cut: str):
        """Yields (index, what that evaluation missed, by how much the final latents are others) of runs in which one
        evaluation alone inherits `cut`."""
        from comfy.patcher_extension import WrappersMP
        total = len(self._evaluations)
        for index in range(1, total):
            sites = [[cut] if at == index else [] for at in range(total)]
            model = self._pack.host.comfy_host().with_inheritance(self._native, self._plan(sites)).clone()
            denoised = []

            def record(executor, *args, into=denoised, **kwargs):
                into.append(executor(*args, **kwargs).clone())
                return into[-1]
            model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "arrivals", record)
            latents = self._sample(model, self._sampler)
            yield index, denoised[index] - self._evaluations[index][2], latents - self._latents

    def misses(self, cut: str, first: int, period: int, value: str = "hold"):
        """Yields (index, [indices of the evaluations before that computed the cut, the last first], miss) of a run in
        which the evaluations `first` + n * `period` are full and those between inherit `cut`, by `value`. miss: root of
        the mean square."""
        import comfy.samplers
        total = len(self._evaluations)
        full = [index for index in range(total) if index < first or (index - first) % period == 0 or index == 0]
        sites = [[] if index in full else [cut] for index in range(total)]
        denoised = []

        def forced(model, x, sigmas, extra_args=None, **_):
            for own, sigma, _ in self._evaluations:
                denoised.append(model(own, sigma, **(extra_args or {})).clone())
            return x
        self._sample(self._pack.host.comfy_host().with_inheritance(self._native, self._plan(sites, value)),
                     comfy.samplers.KSAMPLER(forced))
        before = []
        for index, (found, (_, _, exact)) in enumerate(zip(denoised, self._evaluations, strict=True)):
            if sites[index]:
                yield index, before.copy(), root_of(found - exact)
            else:
                before.insert(0, index)
