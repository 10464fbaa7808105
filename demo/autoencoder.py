"""Trains the 8x-down autoencoder: the host's TAESD net, from scratch.

Pictures are RGB in [0, 1]; latents are [N, 4, H/8, W/8]. The host scales a
latent by 0.18215 before its UNet sees it, and TAESD divides the encoder's
output by `vae_scale`; `fold_statistics` sets the latter so that the UNet sees
zero mean and unit deviation, which the SD noise schedule expects.
"""
import math

import torch
import torch.nn.functional as F
from colour_carrying import carry_colours
from precision import fast_precision
from safetensors.torch import load_file, save_file
from training_log import Stopwatch, TrainingLog
from whole_files import save_whole

SD_LATENT_SCALE = 0.18215  # the host's SD1.x latent format
# (when the phase ends, as a share of the time; [(crop side in px, batch), ...] taken in turn). Small crops
# bring many different strokes into a step; whole pictures teach the borders and
# the wide white areas, which crops alone get wrong.
PHASES = [
    (0.6, [(32, 16), (64, 4), (32, 16), (128, 1)]),
    (1.0, [(64, 4), (128, 1), (128, 1)]),
]
# Scenes show the same few strokes at every place, so that many small steps teach more than few large ones.
SCENE_PHASES = [
    (0.7, [(32, 4), (64, 1), (32, 4), (64, 1), (128, 1)]),
    (1.0, [(32, 8), (64, 2), (128, 1)]),
]
LOG_EVERY = 500  # steps
LATENT_NOISE = 0.05  # keeps nearby latents decoding alike, for the UNet's sake


def build_autoencoder():
    """The host's TAESD with ReLU-fit weights (its layers start uninitialised)."""
    from comfy.taesd.taesd import TAESD, Block

    net = TAESD()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    for module in net.modules():
        if isinstance(module, Block):  # near-identity blocks train faster
            module.conv[-1].weight.data.mul_(0.2)
    for last in (net.taesd_encoder[-1], net.taesd_decoder[-1]):
        last.weight.data.mul_(0.3)
    net.taesd_decoder[-1].bias.data.fill_(0.5)
    return net.to(memory_format=torch.channels_last)


def psnr(net, pictures):
    """Mean PSNR in dB over whole pictures (uint8 [N, 3, H, W])."""
    values = []
    with torch.no_grad():
        for batch in pictures.split(8):
            x = batch.float() / 255
            y = net.taesd_decoder(net.taesd_encoder(x)).clamp(0, 1)
            mse = ((y - x) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10)
            values.append(-10 * torch.log10(mse))
    return torch.cat(values).mean().item()


class CropSampler:
    """Draws square crops, mostly where there is drawing and not white."""

    def __init__(self, pictures, own_share, own_count, generator):
        """pictures: uint8 [N, 3, H, W], the captioned `own_count` first;
        own_share: share of the crops that comes from those."""
        self.pictures = pictures
        self.own_share = own_share
        self.own_count = own_count
        self.generator = generator

    def _randint(self, high):
        return int(torch.randint(high, (1,), generator=self.generator))

    def _chance(self):
        return float(torch.rand(1, generator=self.generator))

    def _one(self, side):
        own = self._chance() < self.own_share
        picture = self.pictures[self._randint(self.own_count if own else len(self.pictures))]
        span = picture.shape[-1] - side + 1
        for _ in range(4):
            top, left = self._randint(span), self._randint(span)
            crop = picture[:, top:top + side, left:left + side]
            # a nearly flat crop teaches little: keep few
            if crop[:, ::4, ::4].float().std() > 12 or self._chance() < 0.3:
                break
        return crop.flip(-1) if self._chance() < 0.5 else crop

    def batch(self, count, side):
        """float [count, 3, side, side] in [0, 1], channels last."""
        crops = torch.stack([self._one(side) for _ in range(count)]).float() / 255
        return crops.contiguous(memory_format=torch.channels_last)


def _crop_shape(phases, progress, step):
    """(side, batch) for this step; progress in [0, 1)."""
    shapes = next(shapes for end, shapes in phases if progress < end)
    return shapes[step % len(shapes)]


def _loss(net, x):
    """Reconstruction plus a pull of each latent channel to mean 0, deviation 1."""
    with fast_precision():
        z = net.taesd_encoder(x)
        y = net.taesd_decoder(z + LATENT_NOISE * torch.randn_like(z))
    z, y = z.float(), y.float()
    mean, std = z.mean(dim=(0, 2, 3)), z.std(dim=(0, 2, 3))
    pull = (mean ** 2).mean() + ((std - 1) ** 2).mean()
    mse = F.mse_loss(y, x)
    return mse + 0.1 * F.l1_loss(y, x) + 0.002 * pull, mse


def fold_statistics(net, pictures):
    """Set vae_scale and vae_shift from the latents of whole pictures.

    UNet latent = 0.18215 * (encoder / vae_scale + vae_shift).
    """
    with torch.no_grad():
        z = torch.cat([net.taesd_encoder(p.float() / 255) for p in pictures.split(8)])
        mean, std = z.mean().item(), z.std().item()
        net.vae_scale.data.fill_(SD_LATENT_SCALE * std)
        net.vae_shift.data.fill_(-mean / (SD_LATENT_SCALE * std))
    return {
        "mean": mean,
        "std": std,
        "channel_mean": [round(v, 3) for v in z.mean(dim=(0, 2, 3)).tolist()],
        "channel_std": [round(v, 3) for v in z.std(dim=(0, 2, 3)).tolist()],
    }


def _resume(checkpoint, net, optimizer):
    """Load what `_save` wrote, if it did; returns (steps, seconds of work) so far."""
    if checkpoint is None or not checkpoint.is_file():
        return 0, 0.0
    state = torch.load(checkpoint, weights_only=True)
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["elapsed"]


def _save(checkpoint, net, optimizer, step, elapsed):
    if checkpoint is not None:
        save_whole({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "elapsed": elapsed},
                   checkpoint)


def train_autoencoder(captioned, others, seconds, log_path, start_from=None,
                      decoder_only=False, peak_lr=1.5e-3, own_share=0.6, phases=PHASES,
                      carrying=False, checkpoint=None, seed=1):
    """Train for `seconds` of work; returns the net, statistics folded in.

    captioned, others: uint8 [N, 3, H, W]; start_from: a saved autoencoder to
    train on, with a fresh learning-rate decay; decoder_only: leave the encoder
    and the statistics alone, so that a UNet trained on them stays valid;
    own_share: of the crops, from `captioned`, the rest from all; phases: as
    PHASES; carrying: begin with weights that pass on colours; checkpoint:
    file to resume from and to save to.
    """
    stage = "ae_decoder" if decoder_only else "ae_more" if start_from else "ae"
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = build_autoencoder()
    if carrying:
        carry_colours(net)
    if start_from is not None:
        net.load_state_dict(load_file(str(start_from)))
    net.taesd_encoder.requires_grad_(not decoder_only)
    trained = [p for p in net.parameters() if p.requires_grad]
    sampler = CropSampler(torch.cat([captioned, others]), own_share, len(captioned), generator)
    optimizer = torch.optim.AdamW(trained, lr=peak_lr, betas=(0.9, 0.99), weight_decay=0)
    log = TrainingLog(log_path)
    probe = captioned[:: max(1, len(captioned) // 32)]
    step, elapsed = _resume(checkpoint, net, optimizer)
    generator.manual_seed(seed + step)  # other crops than before the stop
    clock, recent, progress = Stopwatch(elapsed), [], elapsed / seconds
    while progress < 1.0:
        side, count = _crop_shape(phases, progress, step)
        warm = min(1.0, (step + 1) / 100)
        lr = peak_lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        optimizer.param_groups[0]["lr"] = lr
        loss, mse = _loss(net, sampler.batch(count, side))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        recent.append(mse.item())
        step += 1
        elapsed = clock.lap()
        progress = elapsed / seconds
        if step % LOG_EVERY == 0 or progress >= 1.0:
            log.add(stage=stage, step=step, seconds=round(elapsed, 1), lr=round(lr, 7),
                    loss=round(sum(recent) / len(recent), 6), psnr=round(psnr(net, probe), 2))
            recent.clear()
            _save(checkpoint, net, optimizer, step, elapsed)
    statistics = {} if decoder_only else fold_statistics(net, captioned)
    log.add(stage=stage + "_final", step=step, seconds=round(elapsed, 1),
            psnr=round(psnr(net, captioned), 2),
            psnr_uncaptioned=round(psnr(net, others[:200]), 2), **statistics)
    return net


def save_autoencoder(net, path):
    """One fp16 safetensors file in the layout the host's VAELoader detects."""
    state = {k: v.detach().half().contiguous() for k, v in net.state_dict().items()}
    for name in ("vae_scale", "vae_shift"):  # scalars: no reason to round them
        state[name] = net.state_dict()[name].detach().float()
    save_file(state, str(path))
