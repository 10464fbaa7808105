"""Every sampler and scheduler of the host's."""

from .sampling import Combination, Sampling, extra, node, sd15

# Those whose result is another sampler's own.
LIKE_EULER = ("euler", "ddim")


def _sampler(name: str):
    def change(sampling: Sampling):
        sampling.sampler = name
    return change


def _scheduler(name: str):
    def change(sampling: Sampling):
        sampling.scheduler = name
    return change


def _sigmas(module: str, kind: str, *inputs, of_model: bool = False):
    def change(sampling: Sampling):
        given = (sampling.model, *inputs) if of_model else inputs
        sampling.sigmas = node(extra(module, kind)(), *given)[0]
    return change


def _by_node(kind: str, *inputs, module: str = "nodes_custom_sampler"):
    def change(sampling: Sampling):
        sampling.sampler = node(extra(module, kind)(), *inputs)[0]
    return change


def few_steps(pack) -> Sampling:
    return sd15(pack, steps=4)


def by_dpmpp(pack) -> Sampling:
    return sd15(pack, steps=4, sampler="dpmpp_2m")


def by_karras(pack) -> Sampling:
    return sd15(pack, steps=4, scheduler="karras")


def restarting(sampling: Sampling):
    """As restart samplers: noise is put back in the middle of the run."""
    import comfy.samplers
    import torch

    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for sigma in (12.0, 6.0, 3.0, 1.5, 8.0, 4.0, 2.0, 1.0):
            denoised = model(x, torch.full((x.shape[0],), sigma), **extra_args)
            x = denoised + 0.5 * (x - denoised)
        return x
    sampling.sampler = comfy.samplers.KSAMPLER(sample)


def combinations() -> list[Combination]:
    """One for each of the host's lists; those on a GPU differ in where noise is made alone."""
    import comfy.samplers
    samplers = [Combination(f"Sampler {name}", "KSampler", _sampler(name),
                            base=by_dpmpp if name in LIKE_EULER else few_steps)
                for name in comfy.samplers.SAMPLER_NAMES if not name.endswith("_gpu")]
    schedulers = [Combination(f"Scheduler {name}", "KSampler", _scheduler(name),
                              base=by_karras if name == "normal" else few_steps)
                  for name in comfy.samplers.SCHEDULER_NAMES]
    return samplers + schedulers + [
        Combination("Sampler CFG++ of its own node", "SamplerEulerCFGpp",
                    _by_node("SamplerEulerCFGpp", "alternative", module="nodes_advanced_samplers")),
        Combination("Sampler with restarts", "as packs do it", restarting),
        Combination("Align Your Steps", "AlignYourStepsScheduler",
                    _sigmas("nodes_align_your_steps", "AlignYourStepsScheduler", "SD1", 6, 1.0)),
        Combination("GITS", "GITSScheduler", _sigmas("nodes_gits", "GITSScheduler", 1.2, 6, 1.0)),
        Combination("Beta schedule of its own node", "BetaSamplingScheduler",
                    _sigmas("nodes_custom_sampler", "BetaSamplingScheduler", 6, 0.6, 0.6, of_model=True)),
    ]
