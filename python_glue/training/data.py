"""What a student is trained on: clean latents with their text features, noised as the model was trained."""

import math
from dataclasses import dataclass

import safetensors
import torch

# Weights of the samples over the plain loss: less for tiny noise (min-SNR, arXiv 2303.09556), and more for much noise,
# where a wrong picture hardly shows in the prediction.
SNR_CAP, NOISE_CAP = 5.0, 15.0
_PREDICTIONS = ("EPS", "V_PREDICTION", "EDM")
# What the UNet is told of each noise level, by the host's names of schedules.
_TIMES = {
    "ModelSamplingDiscrete": lambda sigmas: torch.arange(len(sigmas)),
    "ModelSamplingContinuousEDM": lambda sigmas: 0.25 * sigmas.log(),
    "ModelSamplingContinuousV": lambda sigmas: sigmas.atan() / math.pi * 2,
}


@dataclass
class TrainingData:
    """latents: [N, in_channels, height, width] as the UNet sees them; those beyond its out_channels stay free of noise.
    context: [M, tokens, context_dim], y: [M, adm_in_channels] or None. rows: int64 [N, K]; a latent is described by any
    of its K rows of context and y. empty: the row of the empty prompt, -1 where there is none."""

    latents: torch.Tensor
    context: torch.Tensor
    rows: torch.Tensor
    y: torch.Tensor | None = None
    empty: int = -1

    def __post_init__(self):
        count, described = len(self.latents), len(self.context)
        if self.latents.dim() != 4 or self.context.dim() != 3 or self.rows.dim() != 2 or len(self.rows) != count:
            raise ValueError("training data: expected latents [N, C, H, W], context [M, tokens, width], rows [N, K], "
                             f"got {list(self.latents.shape)}, {list(self.context.shape)} and {list(self.rows.shape)}")
        if count == 0 or self.rows.min() < 0 or self.rows.max() >= described or self.empty >= described:
            raise ValueError(f"training data: expected at least one latent, and rows below {described} as there are of "
                             f"context, got {count} latents, rows {self.rows.tolist()[:3]}... and empty {self.empty}")

    @classmethod
    def load(cls, path: str) -> "TrainingData":
        """From a safetensors file with tensors of these names; `empty` is in the metadata."""
        with safetensors.safe_open(path, framework="pt") as file:
            names = set(file.keys())
            missing = {"latents", "context", "rows"} - names
            if missing:
                raise ValueError(f"{path}: expected tensors latents, context and rows, missing {sorted(missing)}")
            return cls(latents=file.get_tensor("latents").float(), context=file.get_tensor("context"),
                       rows=file.get_tensor("rows"), y=file.get_tensor("y") if "y" in names else None,
                       empty=int((file.metadata() or {}).get("empty", -1)))


def stable_diffusion_alphas(steps: int = 1000) -> torch.Tensor:
    """Cumulative products of 1 - beta of Stable Diffusion's scaled linear schedule, fp64 [steps]."""
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def noise_of(record: dict) -> dict:
    """How Batches noises for a model that is sampled as `record` says (host/sampled_as.py). ValueError where
    it predicts something else than noise or velocity, or takes other times."""
    schedule, prediction = record["classes"]
    if schedule not in _TIMES or prediction not in _PREDICTIONS:
        raise ValueError("expected a model that predicts noise or velocity, sampled by one of "
                         f"{', '.join(_TIMES)}, got {prediction} by {schedule}")
    sigmas = torch.tensor(record["buffers"]["sigmas"], dtype=torch.float64)
    size = record["settings"].get("sigma_data", 1.0)
    return {"velocity": prediction != "EPS", "alphas": 1 / (1 + (sigmas / size) ** 2),
            "timesteps": _TIMES[schedule](sigmas).float(), "size": size, "sign": -1.0 if prediction == "EDM" else 1.0}


class Batches:
    """Batches by number: the same number gives the same batch in every process and after every restart. Of each noise
    level there are `alphas` and, where they are not its number, `timesteps`. `size`: what latents are divided by.
    `sign`: -1 for the negative of velocity, which is that of negative noise."""

    def __init__(self, data: TrainingData, batch_size: int, seed: int, *, velocity: bool, out_channels: int,
                 device: torch.device | str = "cpu", alphas: torch.Tensor | None = None,
                 timesteps: torch.Tensor | None = None, size: float = 1.0, sign: float = 1.0,
                 empty_share: float = 0.1, balanced: bool = True):
        self.data, self.batch_size, self.seed, self.device = data, batch_size, seed, device
        self.velocity, self.out_channels, self.balanced = velocity, out_channels, balanced
        self.alphas = stable_diffusion_alphas() if alphas is None else alphas
        self.timesteps = torch.arange(len(self.alphas)).float() if timesteps is None else timesteps
        self.size, self.sign = size, sign
        self.empty_share = empty_share if data.empty >= 0 else 0.0

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed * 1_000_003 + number)

    def _pictures(self, number: int) -> torch.Tensor:
        """Indices [batch_size] into the latents: each once before any comes again."""
        count = len(self.data.latents)
        places = torch.arange(number * self.batch_size, (number + 1) * self.batch_size)
        rounds = {int(number): torch.randperm(count, generator=self._generator(-1 - int(number)))
                  for number in (places // count).unique()}
        return torch.stack([rounds[int(place // count)][int(place % count)] for place in places])

    def batch(self, number: int, share: slice = slice(None)) -> dict:
        """`share` of batch `number`, as the core's losses take it (native/assembly/distillation.h)."""
        generator = self._generator(number)
        pictures = self._pictures(number)
        size = self.batch_size
        # Stratified, which steadies the loss.
        strata = (torch.arange(size) + torch.rand(size, generator=generator)) / size
        timesteps = (strata * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        wording = torch.randint(self.data.rows.shape[1], (size,), generator=generator)
        rows = self.data.rows[pictures, wording]
        rows[torch.rand(size, generator=generator) < self.empty_share] = self.data.empty
        clean = self.data.latents[pictures]
        epsilon = torch.randn(clean[:, :self.out_channels].shape, generator=generator)
        return self._noised(clean[share], epsilon[share], timesteps[share], rows[share])

    def _noised(self, clean, epsilon, timesteps, rows) -> dict:
        alphas = self.alphas[timesteps]
        signal, noise = alphas.sqrt().float(), (1 - alphas).sqrt().float() * self.sign
        s, n = signal.view(-1, 1, 1, 1), noise.view(-1, 1, 1, 1)
        drawn, beside = clean[:, :self.out_channels] / self.size, clean[:, self.out_channels:]
        snr = alphas / (1 - alphas)
        weight = (SNR_CAP / snr).clamp(max=1.0) * (1 + 1 / snr).clamp(max=NOISE_CAP)
        batch = {
            "x": torch.cat([s * drawn + n * epsilon, beside], dim=1), "timesteps": self.timesteps[timesteps],
            "context": self.data.context[rows].float(), "y": None if self.data.y is None else self.data.y[rows].float(),
            "target": s * epsilon - n * drawn if self.velocity else epsilon, "signal": signal, "noise": noise,
            "weight": weight.float() if self.balanced else torch.ones(len(rows)),
        }
        return {name: None if tensor is None else tensor.to(self.device) for name, tensor in batch.items()}
