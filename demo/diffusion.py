"""Trains the UNet: epsilon prediction on the SD noise schedule, with EMA."""
import math
from dataclasses import dataclass
from pathlib import Path

import host
import torch
import torch.multiprocessing as multiprocessing
from exchange import GradientExchange
from features import TEMPLATES
from training_log import Stopwatch, TrainingLog
from unet import build_unet, save_unet

STEPS = 1000  # of the noise schedule
EMPTY_SHARE = 0.1  # of the captions, dropped for classifier-free guidance
PLAIN_SHARE = 0.6  # of the captions in their plain wording
# Loss weights over the plain epsilon loss: less for tiny noise (min-SNR, Hang et
# al. 2023) and more for much noise, where a wrong picture hardly shows in epsilon.
SNR_CAP, NOISE_CAP = 5.0, 15.0
EMA_DECAY, EMA_EVERY = 0.98, 4  # the average moves once in EMA_EVERY steps


def alphas_cumprod():
    """SD's scaled-linear schedule, [STEPS]."""
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


class Batches:
    """Draws (noisy latents, timesteps, text features, noise, weights)."""

    def __init__(self, latents, features, batch):
        """latents: [N, 4, h, w]; features: fp16 [1 + len(TEMPLATES) * N, 77, 768]."""
        self.latents, self.features, self.batch = latents, features, batch
        self.alphas = alphas_cumprod()
        self.order = torch.empty(0, dtype=torch.long)

    def _pictures(self):
        """Next picture indices [batch]: each picture once before any again."""
        while len(self.order) < self.batch:
            self.order = torch.cat([self.order, torch.randperm(len(self.latents))])
        picked, self.order = self.order[:self.batch], self.order[self.batch:]
        return picked

    def _feature_rows(self, pictures):
        wording = torch.randint(1, len(TEMPLATES), (self.batch,))
        wording[torch.rand(self.batch) < PLAIN_SHARE] = 0
        rows = 1 + wording * len(self.latents) + pictures
        rows[torch.rand(self.batch) < EMPTY_SHARE] = 0
        return rows

    def next(self):
        """One batch; timesteps are stratified, which steadies the loss."""
        pictures = self._pictures()
        strata = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        # more of the noisier half, where the caption decides and not the input
        timesteps = (strata ** 0.6 * STEPS).long().clamp(max=STEPS - 1)
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        clean = self.latents[pictures]
        noise = torch.randn_like(clean)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        snr = (alpha / (1 - alpha)).flatten()
        weights = (SNR_CAP / snr).clamp(max=1.0) * (1 + 1 / snr).clamp(max=NOISE_CAP)
        context = self.features[self._feature_rows(pictures)].float()
        return noisy, timesteps, context, noise, weights


def plain_attention(q, k, v, heads, mask=None, **_):
    """softmax(q k^T) v for q [N, L, C] and k, v [N, M, C].

    At these sizes plain matrix products train faster on a CPU than the fused
    attention of PyTorch, whose backward pass is slow.
    """
    batch, length, channels = q.shape
    width = channels // heads

    def split(x):
        return x.view(batch, -1, heads, width).transpose(1, 2).reshape(batch * heads, -1, width)

    scores = torch.bmm(split(q) * width ** -0.5, split(k).transpose(1, 2))
    with torch.autocast("cpu", enabled=False):  # which would widen softmax to fp32
        mixed = torch.bmm(scores.softmax(dim=-1), split(v).to(scores.dtype))
    return mixed.view(batch, heads, length, width).transpose(1, 2).reshape(batch, length, channels)


class Trainer:
    """Holds the net, its averaged copy and the optimizer; saves and resumes."""

    def __init__(self, peak_lr):
        self.net = build_unet()
        self.parameters = list(self.net.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=peak_lr, betas=(0.9, 0.99),
                                           weight_decay=0.01, fused=True)
        self.peak_lr = peak_lr
        self.step = 0

    def learning_rate(self, progress):
        """Warm-up over 50 steps, then a cosine over progress in [0, 1]."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.peak_lr * min(1.0, (self.step + 1) / 50) * (0.01 + 0.99 * cosine)

    def backward(self, batch):
        """Fill the gradients; returns the unweighted loss."""
        noisy, timesteps, context, noise, weights = batch
        with torch.autocast("cpu", dtype=torch.bfloat16):
            predicted = self.net(noisy, timesteps, context=context)
        errors = ((predicted.float() - noise) ** 2).mean(dim=(1, 2, 3))
        self.optimizer.zero_grad(set_to_none=True)
        (errors * weights).mean().backward()
        return errors.mean().item()

    def update(self, progress):
        """One optimizer step from the gradients that are there."""
        self.optimizer.param_groups[0]["lr"] = self.learning_rate(progress)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        if self.step % EMA_EVERY:
            return
        turns = self.step // EMA_EVERY
        decay = min(EMA_DECAY, (1 + turns) / (10 + turns))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def save(self, checkpoint, weights, elapsed):
        """Write the resumable checkpoint and the averaged weights."""
        torch.save({"net": self.net.state_dict(), "average": self.average, "step": self.step,
                    "optimizer": self.optimizer.state_dict(), "elapsed": elapsed,
                    }, str(checkpoint) + ".part")
        Path(str(checkpoint) + ".part").replace(checkpoint)
        names = [name for name, _ in self.net.named_parameters()]
        save_unet(dict(zip(names, self.average, strict=True)), str(weights) + ".part")
        Path(str(weights) + ".part").replace(weights)

    def resume(self, checkpoint):
        """Continue from `save`; returns the seconds of work so far."""
        state = torch.load(checkpoint, mmap=True, weights_only=True)
        self.net.load_state_dict(state["net"])
        for mine, saved in zip(self.average, state["average"], strict=True):
            mine.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return state["elapsed"]


@dataclass
class Job:
    """What every worker process is told."""

    seconds: float  # of work, all runs together
    peak_lr: float
    batch: int  # of all workers together
    workers: int
    checkpoint: Path
    weights: Path
    log: Path


def _work(worker, job, exchange, latents, features):
    """One worker process: trains on its share of the batch until time is up."""
    host.use_host()
    import comfy.ldm.modules.attention

    comfy.ldm.modules.attention.optimized_attention = plain_attention
    torch.set_num_threads(1)
    torch.manual_seed(2)  # the same first weights in all workers
    trainer, elapsed = Trainer(job.peak_lr), 0.0
    if job.checkpoint.is_file():
        elapsed = trainer.resume(job.checkpoint)
    torch.manual_seed(1000 * (1 + worker) + trainer.step)
    batches = Batches(latents, features, job.batch // job.workers)
    log, clock, recent, progress = TrainingLog(job.log), Stopwatch(elapsed), [], 0.0
    while progress < 1.0:
        loss = trainer.backward(batches.next())
        loss, progress = exchange.average(worker, trainer.step, trainer.parameters, loss,
                                          clock.lap() / job.seconds)
        trainer.update(progress)
        recent.append(loss)
        if worker != 0:
            continue
        if trainer.step % 25 == 0 or progress >= 1.0:
            log.add(stage="unet", step=trainer.step, seconds=round(clock.elapsed, 1),
                    lr=round(trainer.learning_rate(progress), 7),
                    loss=round(sum(recent) / len(recent), 5))
            recent.clear()
        if trainer.step % 150 == 0 or progress >= 1.0:
            trainer.save(job.checkpoint, job.weights, clock.elapsed)


def train_unet(latents, features, job):
    """Train as the job says; latents [N, 4, h, w], features as `Batches` takes."""
    size = sum(p.numel() for p in build_unet().parameters())
    exchange = GradientExchange(job.workers, size)
    arguments = (job, exchange, latents.share_memory_(), features.share_memory_())
    multiprocessing.start_processes(_work, arguments, nprocs=job.workers, start_method="spawn")
