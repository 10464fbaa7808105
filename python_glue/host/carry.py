"""How a sampler carries what an evaluation misses to the end of its run: tried out on the real sampler, with a denoiser
of a few numbers in the place of the model (docs/speed.md)."""

import comfy.samplers
import torch


class _LinearDenoiser:
    """What a sampler calls in the place of the host's guider: it gives `slope(sigma)` of what it gets. With `misses`,
    element i of the latent misses by 1 in evaluation i."""

    def __init__(self, patcher, slope, misses: bool):
        self.model_patcher, self.inner_model, self.sigmas = patcher, patcher.model, []
        self._slope, self._misses = slope, misses

    def __call__(self, x, sigma, model_options=None, seed=None):
        sigma = sigma.max()
        denoised = x * self._slope(sigma)
        if self._misses and len(self.sigmas) < x.shape[-1]:
            denoised[..., len(self.sigmas)] += 1.0
        self.sigmas.append(float(sigma))
        given = {"denoised": denoised, "cond_denoised": denoised, "uncond_denoised": denoised, "input": x,
                 "sigma": sigma, "model": self.inner_model, "model_options": model_options, "cond": [], "uncond": [],
                 "cond_scale": 1.0}
        for function in (model_options or {}).get("sampler_post_cfg_function", ()):
            denoised = given["denoised"] = function(given)
        return denoised


def _sampled(sampler, sigmas: torch.Tensor, denoiser: _LinearDenoiser, width: int) -> torch.Tensor:
    """What `sampler` makes of zeros, [width]. It draws the same noise in each call, whatever the denoiser does."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        zeros = torch.zeros(1, 1, 1, width)
        return sampler.sample(denoiser, sigmas.to("cpu", torch.float32), {"model_options": {}, "seed": 0}, None, zeros,
                              zeros, disable_pbar=True).flatten()


def carried_evaluations(sampler, sigmas: torch.Tensor, patcher, slope) -> list[tuple[float, float]]:
    """(sigma, carry) of each evaluation that `sampler` makes of a run over `sigmas` [steps + 1]; carry: what a miss of
    1 in the denoised latent is in the final one. `slope`: function of a sigma, by how much a denoised latent follows
    what it is made of. A sampler that needs more of a guider than this is taken for euler."""
    try:
        return _tried(sampler, sigmas, patcher, slope)
    except Exception:  # noqa: BLE001  whatever a foreign sampler raises without a real model
        return _tried(comfy.samplers.ksampler("euler"), sigmas, patcher, slope)


def _tried(sampler, sigmas: torch.Tensor, patcher, slope) -> list[tuple[float, float]]:
    counted = _LinearDenoiser(patcher, slope, misses=False)
    _sampled(sampler, sigmas, counted, 1)
    exact, missed = (_sampled(sampler, sigmas, _LinearDenoiser(patcher, slope, misses), len(counted.sigmas))
                     for misses in (False, True))
    return list(zip(counted.sigmas, (missed - exact).tolist(), strict=True))
