"""A whole sampling per run by the SD1.5 UNet of diffusers, cond and uncond in one batch: plain ("full"), or with
DeepCache cut where the pack's inheritance is cut ("deepcache").
"""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve, timed  # noqa: E402
from support import floor, hosted, inheriting  # noqa: E402

_OPERATORS = hosted.declare_torchvision_operators()  # or torchvision, and with it diffusers, does not import
import diffusers  # noqa: E402
import torch  # noqa: E402
from DeepCache import DeepCacheSDHelper  # noqa: E402

# The branch of the first level's downsampler: in.0 to in.2 and out.9 to out.11 run on cached steps, as with out.8.
BRANCH = 2


class DiffusersSampling:
    def prepare(self, case) -> dict:
        torch.set_num_threads(case.threads)
        torch.manual_seed(0)
        width = case.width or 320
        self._dtype = floor.DTYPES[case.dtype]
        unet = diffusers.UNet2DConditionModel(
            sample_size=case.latent, cross_attention_dim=768, attention_head_dim=8,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width)).to(self._dtype).eval()
        self._pipe = SimpleNamespace(unet=unet, scheduler=diffusers.DDIMScheduler())
        self._latents = torch.randn(1, 4, case.latent, case.latent).to(self._dtype)
        self._text = torch.randn(2, 77, 768).to(self._dtype)
        return {"version": diffusers.__version__}

    def run(self, way: str, steps: int) -> dict:
        cache = None
        if way == "deepcache":
            cache = DeepCacheSDHelper(self._pipe)
            cache.set_params(cache_interval=inheriting.INTERVAL, cache_branch_id=BRANCH)
            cache.enable()
        try:
            _, seconds = timed(lambda: self._sample(steps))
        finally:
            if cache is not None:
                cache.disable()
        return {"seconds": seconds, "steps": steps}

    @torch.inference_mode()
    def _sample(self, steps: int):
        scheduler = self._pipe.scheduler
        scheduler.set_timesteps(steps)
        latents = self._latents
        for timestep in scheduler.timesteps:
            both = torch.cat([latents, latents])
            # DeepCache reads the time step from the second positional argument.
            uncond, cond = self._pipe.unet(both, timestep, encoder_hidden_states=self._text).sample.chunk(2)
            latents = scheduler.step(uncond + 6.0 * (cond - uncond), timestep, latents).prev_sample


if __name__ == "__main__":
    serve(DiffusersSampling)
