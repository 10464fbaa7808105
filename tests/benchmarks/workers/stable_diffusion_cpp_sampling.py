"""Seconds per sampling step of stable-diffusion.cpp on an SD1.5 checkpoint with random weights in f16: one forward for
cond and one for uncond. It loads whole checkpoints only, so one is written once, in their layout.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import stable_diffusion_cpp  # noqa: E402
from serve import serve  # noqa: E402
from support import hosted  # noqa: E402

CHECKPOINT = hosted.ROOT / ".test" / "peers" / "converted" / "sd15-checkpoint.safetensors"
VAE = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
       "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}


def write_checkpoint():
    hosted.start_host()
    import comfy.sd1_clip
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from safetensors.torch import save_file
    from support import models
    unet = models.make_patcher(hosted.load_pack(), "sd15", dtype=torch.float16).model.diffusion_model
    text, vae = comfy.sd1_clip.SDClipModel(), AutoencoderKL(ddconfig=VAE, embed_dim=4)
    for parameter in (*text.parameters(), *vae.parameters()):
        torch.nn.init.normal_(parameter, std=0.02)
    tensors = {}
    for prefix, module in (("model.diffusion_model.", unet), ("first_stage_model.", vae), ("cond_stage_model.", text)):
        tensors |= {prefix + name: value.to(torch.float16).contiguous() for name, value in module.state_dict().items()}
    CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    unfinished = CHECKPOINT.with_suffix(".unfinished")
    save_file(tensors, unfinished)
    unfinished.rename(CHECKPOINT)


class StableDiffusionCpp:
    def prepare(self, case) -> dict:
        if case.width:
            raise ValueError(f"stable-diffusion.cpp: expected the published width, got {case.width} model channels")
        if not CHECKPOINT.is_file():
            write_checkpoint()
        self._size = case.latent * 8
        self._model = stable_diffusion_cpp.StableDiffusion(model_path=str(CHECKPOINT), n_threads=case.threads)
        return {"version": stable_diffusion_cpp.__version__}

    def run(self, steps: int) -> dict:
        """The fastest step, so that reading the file and the text encoder before the first do not count."""
        ends = [time.perf_counter()]
        self._model.generate_image(
            prompt="a", negative_prompt="b", width=self._size, height=self._size, cfg_scale=6.0, sample_steps=steps,
            sample_method="euler", progress_callback=lambda *_: ends.append(time.perf_counter()))
        return {"seconds": min(b - a for a, b in zip(ends[1:], ends[2:], strict=False)), "steps": steps}


if __name__ == "__main__":
    serve(StableDiffusionCpp)
