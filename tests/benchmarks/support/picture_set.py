"""The pictures that the benchmark `quality` samples, in batches, and what image-to-image starts from."""

from dataclasses import dataclass

import torch
from support import hosted
from support.demo_model import captions

DENOISE = 0.6
SOURCE_STEPS = 20
CACHE = hosted.ROOT / ".test" / "quality" / "sources.safetensors"


@dataclass(frozen=True)
class Condition:
    """How pictures are sampled."""

    sampler: str
    steps: int
    task: str  # "text" or "image": what sampling starts from

    @property
    def name(self) -> str:
        return f"{self.sampler}-{self.steps}-{self.task}"


CONDITIONS = tuple(Condition(sampler, steps, task) for steps in (20, 50) for sampler in ("euler", "dpmpp_2m")
                   for task in ("text", "image"))
# Where what `quality` does not show is measured.
SHORT_TEXT = tuple(condition for condition in CONDITIONS if condition.steps == 20 and condition.task == "text")


@dataclass(frozen=True)
class Batch:
    """Pictures that are sampled together."""

    prompts: list[str]
    seeds: list[int]
    sources: list[str]  # captions of the pictures that image-to-image starts from


def batches(prompt_count: int, seed_count: int, size: int) -> list[Batch]:
    """`prompt_count` captions spread over the demo's, each with seeds of its own, in batches of `size` pictures."""
    known = captions()
    prompts = [known[number * len(known) // prompt_count] for number in range(prompt_count)]
    half = prompt_count // 2
    pictures = [(prompt, 1 + seed_count * number + seed, prompts[(number + half) % prompt_count])
                for seed in range(seed_count) for number, prompt in enumerate(prompts)]
    return [Batch(*map(list, zip(*pictures[start:start + size], strict=True)))
            for start in range(0, len(pictures), size)]


class Sources:
    """Latents of pictures that the native engine drew for image-to-image, decoded and encoded again as a user would
    do it. Drawn once and kept in the scratch folder."""

    def __init__(self, demo, model, wanted: list[str], size: int = 8):
        self._latents = self._stored(wanted)
        if self._latents is None:
            self._latents = {}
            for start in range(0, len(wanted), size):
                prompts = wanted[start:start + size]
                pictures = demo.decode(demo.sample(model, prompts, [0] * len(prompts), "euler", SOURCE_STEPS))
                self._latents.update(zip(prompts, demo.encode(pictures).clone(), strict=True))
            self._store()

    def _stored(self, wanted: list[str]):
        from safetensors.torch import load_file
        if not CACHE.is_file():
            return None
        found = load_file(CACHE)
        return found if set(wanted) <= set(found) else None

    def _store(self):
        from safetensors.torch import save_file
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        save_file({prompt: latent.contiguous() for prompt, latent in self._latents.items()}, CACHE)

    def of(self, batch: Batch) -> torch.Tensor:
        """[batch, 4, height, width]."""
        return torch.stack([self._latents[source] for source in batch.sources])
