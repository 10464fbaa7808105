"""Trains the UNet on scenes: epsilon prediction on the SD noise schedule, with EMA, for as many hours as it takes.

One process and one thread. A run that was killed loses the minutes since its last checkpoint: batches are drawn from
the step's number, scenes are painted by theirs, and the rest is in the checkpoint.
"""
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusion import EMPTY_SHARE, NOISE_CAP, SNR_CAP, STEPS, alphas_cumprod
from precision import fast_precision
from safetensors.torch import load_file
from training_log import Stopwatch, TrainingLog
from unet import SCENE_SPEC, build_unet, save_unet
from whole_files import replace_whole, save_whole

WARM_UP = 500  # steps
DECAY_SHARE = 0.25  # of the steps, at the end, in which the learning rate falls to nothing; constant before
EMA_DECAY, EMA_EVERY = 0.998, 4  # the average moves once in EMA_EVERY steps
POOL = 2048  # scenes
PAINT_EVERY, USES = 20, 12  # steps between two additions to the pool; how often a scene is used in the mean
LOG_EVERY, SAVE_SECONDS, PREVIEW_SECONDS = 100, 300.0, 2400.0
PREVIEW_PROMPTS = (
    "cat", "penguin", "butterfly", "fish", "turtle", "banana", "strawberry", "mushroom", "house", "car",
    "cat and tree", "tree and cat", "star and fish", "snowman and cactus", "hamburger and carrot", "car and house",
    "carrot, turtle and hamburger", "cactus, banana and house", "fish, star and cat", "penguin, tree and car",
)


@dataclass
class SceneJob:
    """What to train, and where its files lie."""

    steps: int
    peak_lr: float
    batch: int
    work_dir: Path
    text_encoder: Path
    start_from: Path | None
    compiled: bool  # the net by torch.compile

    @property
    def checkpoint(self):
        return self.work_dir / "scene_unet.ckpt"

    @property
    def weights(self):
        return self.work_dir / "scene_unet.safetensors"

    @property
    def vae(self):
        return self.work_dir / "scene_vae.safetensors"


def draw_batch(pool, features, size, step):
    """(noisy latents, timesteps, text features, noise, weights); timesteps ascend, one in each of `size` strata."""
    random = torch.Generator().manual_seed(step)
    picked = torch.randint(len(pool.rows), (size,), generator=random)
    strata = (torch.arange(size) + torch.rand(size, generator=random)) / size
    # more of the noisier half, where the caption decides and not the input
    timesteps = (strata ** 0.6 * STEPS).long().clamp(max=STEPS - 1)
    alpha = alphas_cumprod()[timesteps].view(-1, 1, 1, 1)
    clean = pool.latents[picked]
    noise = torch.randn(clean.shape, generator=random)
    snr = (alpha / (1 - alpha)).flatten()
    weights = (SNR_CAP / snr).clamp(max=1.0) * (1 + 1 / snr).clamp(max=NOISE_CAP)
    rows = pool.rows[picked]
    rows[torch.rand(size, generator=random) < EMPTY_SHARE] = 0
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, timesteps, features[rows].float(), noise, weights


class SceneTrainer:
    """Holds the net, its averaged copy, the optimizer and the pool; saves and resumes."""

    def __init__(self, job, pool):
        torch.manual_seed(2)
        self.job, self.pool, self.net, self.step = job, pool, build_unet(SCENE_SPEC), 0
        if job.start_from:
            self.net.load_state_dict(load_file(str(job.start_from)))
        self.forward = torch.compile(self.net, dynamic=False) if job.compiled else self.net
        self.parameters = list(self.net.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=job.peak_lr, betas=(0.9, 0.99),
                                           weight_decay=0.01, fused=True)

    def learning_rate(self):
        """Warm-up, constant, and a straight fall to nothing."""
        left = (self.job.steps - self.step) / (DECAY_SHARE * self.job.steps)
        return self.job.peak_lr * min(1.0, (self.step + 1) / WARM_UP, left)

    def train_step(self, batch):
        """One step of the optimizer; returns the unweighted losses of the less and of the more noisy half."""
        noisy, timesteps, context, noise, weights = batch
        with fast_precision():
            predicted = self.forward(noisy, timesteps, context=context)
        errors = ((predicted.float() - noise) ** 2).mean(dim=(1, 2, 3))
        self.optimizer.zero_grad(set_to_none=True)
        (errors * weights).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate()
        self.optimizer.step()
        self.step += 1
        if self.step % EMA_EVERY == 0:
            turns = self.step // EMA_EVERY
            decay = min(EMA_DECAY, (1 + turns) / (10 + turns))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        half = len(errors) // 2
        return errors[:half].mean().item(), errors[half:].mean().item()

    def save(self, elapsed):
        """Write the checkpoint and the averaged weights."""
        names = [name for name, _ in self.net.named_parameters()]
        average = dict(zip(names, self.average, strict=True))
        save_whole({"net": self.net.state_dict(), "average": average, "optimizer": self.optimizer.state_dict(),
                    "pool": self.pool.state_dict(), "step": self.step, "elapsed": elapsed}, self.job.checkpoint)
        replace_whole(self.job.weights, lambda part: save_unet(average, part, SCENE_SPEC))

    def resume(self):
        """Continue from `save` where there is a checkpoint; returns the seconds of work so far."""
        if not self.job.checkpoint.is_file():
            self.pool.paint(POOL)
            return 0.0
        state = torch.load(self.job.checkpoint, mmap=True, weights_only=True)
        self.net.load_state_dict(state["net"])
        for mine, saved in zip(self.average, state["average"].values(), strict=True):
            mine.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.pool.load_state_dict(state["pool"])
        self.step = state["step"]
        return state["elapsed"]


def draw_preview(job, step):
    """A sheet of samples from the averaged weights; training goes on without it where that fails."""
    sheet = job.work_dir / "previews" / f"{step:07d}.png"
    sheet.parent.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, Path(__file__).with_name("sample.py"), "--text-encoder", job.text_encoder,
                           "--unet", job.weights, "--vae", job.vae, "--out", sheet, "--seed", str(step),
                           "--columns", "10", "--threads", "1", "--prompts", *PREVIEW_PROMPTS], check=False)
    if done.returncode:
        print(f"no preview of step {step}: sample.py ended with {done.returncode}", file=sys.stderr)


def train_scene_unet(pool, features, job):
    """Train until step `job.steps`; features fp16 [captions, 77, 768]."""
    trainer = SceneTrainer(job, pool)
    clock = Stopwatch(trainer.resume())
    log, losses, saved, shown = TrainingLog(job.work_dir / "scene_log.jsonl"), [], time.monotonic(), time.monotonic()
    while trainer.step < job.steps:
        losses.append(trainer.train_step(draw_batch(pool, features, job.batch, trainer.step)))
        if trainer.step % PAINT_EVERY == 0:
            pool.paint(PAINT_EVERY * job.batch // USES)
        clock.lap()
        if trainer.step % LOG_EVERY == 0:
            little, much = (sum(column) / len(losses) for column in zip(*losses, strict=True))
            log.add(stage="scene_unet", step=trainer.step, seconds=round(clock.elapsed, 1), painted=pool.painted,
                    lr=round(trainer.learning_rate(), 7), loss_little_noise=round(little, 5),
                    loss_much_noise=round(much, 5))
            losses.clear()
        if time.monotonic() - saved > SAVE_SECONDS or trainer.step == job.steps:
            trainer.save(clock.elapsed)
            saved = time.monotonic()
            if saved - shown > PREVIEW_SECONDS or trainer.step == job.steps:
                draw_preview(job, trainer.step)
                shown = saved
