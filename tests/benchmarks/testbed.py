"""Whether the demo model can tell: its pictures must hang on the noise, on the number of steps and on the sampler, be
no training scene, and show what the prompt names, as a classifier sees it that was trained on the painted scenes.
"""

import argparse
import itertools
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import hosted, measure  # noqa: E402
from support.scenes_model import UNET, VAE  # noqa: E402

# Upper bounds in dB, but for the share of samples in which all named objects are recognised.
LIMITS = {"seeds_db": 16.0, "steps_db": 32.0, "samplers_db": 28.0, "nearest_scene_db": 25.0, "recognised": 0.8}
PROMPT_SHARES = (0.5, 0.3, 0.2)  # with one, two and three objects
STEPS, MORE_STEPS = 20, 40
CFG = 8.0  # what a KSampler begins with
BATCH, SCENE_BATCH = 8, 256
SCRATCH = hosted.ROOT / ".test" / "scenes"


def chosen_words(objects: list[str], count: int) -> list[tuple]:
    """What `count` prompts name: each object as often as any other, as far as it goes."""
    lot = random.Random(1)
    deck, prompts = [], []
    for number, share in enumerate(PROMPT_SHARES, start=1):
        for _ in range(round(share * count)):
            named = []
            while len(named) < number:
                deck = deck or lot.sample(objects, len(objects))
                word = deck.pop()
                if word not in named:
                    named.append(word)
            prompts.append(tuple(named))
    return prompts


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return -10 * torch.log10(((one - other) ** 2).mean().clamp(min=1e-10)).item()


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


class Samples:
    """Draws pictures [N, height, width, 3] in 0..1 of prompts, seed by seed, at the CFG above."""

    def __init__(self, demo, prompts: list[str]):
        self._demo, self._prompts = demo, prompts

    def draw(self, seed: int, sampler: str = "euler", steps: int = STEPS) -> torch.Tensor:
        """One picture of each prompt; its seed is `seed` thousands and the prompt's place."""
        pictures = []
        for start in range(0, len(self._prompts), BATCH):
            prompts = self._prompts[start:start + BATCH]
            seeds = [1000 * seed + start + place for place in range(len(prompts))]
            pictures.append(self._demo.decode(self._demo.sample(self._demo.host_model, prompts, seeds, sampler, steps,
                                                                cfg=CFG)))
        print(f"drawn: seed {seed}, {sampler}, {steps} steps", file=sys.stderr, flush=True)
        return torch.cat(pictures).clamp(0, 1)


def nearest_scene(pictures: torch.Tensor, drawings: dict, count: int) -> list[float]:
    """PSNR of each picture to the nearest of the first `count` scenes that the UNet was trained on."""
    from scenes import paint_pictures
    flat = pictures.permute(0, 3, 1, 2).flatten(1)
    least = torch.full((len(flat),), float("inf"))
    for first in range(0, count, SCENE_BATCH):
        scenes = paint_pictures(drawings, first, min(SCENE_BATCH, count - first)).flatten(1).float() / 255
        errors = (flat ** 2).sum(1)[:, None] + (scenes ** 2).sum(1) - 2 * flat @ scenes.T
        least = torch.minimum(least, errors.amin(dim=1) / flat.shape[1])
    return (-10 * torch.log10(least.clamp(min=1e-10))).tolist()


class Judge:
    """Counts which of the named objects a classifier recognises."""

    def __init__(self, path: Path, objects: list[str]):
        from scene_classifier import load_classifier
        self._net, self._objects = load_classifier(path, objects), objects

    def judge(self, pictures: torch.Tensor, words: list[tuple]) -> dict:
        """Shares of the pictures [N, height, width, 3] in which all named objects are seen, and of objects; of each
        object, the share of the pictures that it is named for in which it is seen."""
        from scene_classifier import classify
        seen = classify(self._net, pictures.permute(0, 3, 1, 2).contiguous())
        named = torch.tensor([[one in row for one in self._objects] for row in words])
        whole = (seen | ~named).all(dim=1)
        by_number = {str(number): whole[named.sum(dim=1) == number].float().mean().item() for number in (1, 2, 3)}
        found = (seen & named).sum(dim=0) / named.sum(dim=0).clamp(min=1)
        return {"recognised": whole.float().mean().item(), "recognised_by_number": by_number,
                "found_of_named": ((seen & named).sum() / named.sum()).item(),
                "named_of_found": ((seen & named).sum() / seen.sum().clamp(min=1)).item(),
                "found_by_object": dict(zip(self._objects, found.tolist(), strict=True))}


def measured(samples: Samples, judge: Judge, words: list[tuple], drawings: dict, options) -> dict:
    by_seed = [samples.draw(seed) for seed in range(1, options.seeds + 1)]
    pairs = itertools.combinations(by_seed, 2)
    nearest = nearest_scene(torch.cat(by_seed), drawings, options.scenes)
    return {"seeds_db": mean(psnr(*pair) for two in pairs for pair in zip(*two, strict=True)),
            "steps_db": mean(map(psnr, by_seed[0], samples.draw(1, steps=MORE_STEPS))),
            "samplers_db": mean(map(psnr, by_seed[0], samples.draw(1, sampler="dpmpp_2m"))),
            "nearest_scene_db": max(nearest), **judge.judge(torch.cat(by_seed), words * options.seeds)}


def through_the_autoencoder(demo, judge: Judge, drawings: dict, count: int) -> dict:
    """What the classifier sees of painted scenes that were encoded and decoded: no sample can be clearer."""
    from scenes import TEST_SCENES, paint_scene
    scenes = [paint_scene(drawings, number) for number in range(TEST_SCENES, TEST_SCENES + count)]
    pixels = torch.stack([torch.from_numpy(scene.pixels) for scene in scenes]).float() / 255
    decoded = torch.cat([demo.decode(demo.encode(batch)) for batch in pixels.split(BATCH)]).clamp(0, 1)
    return {"psnr_db": mean(map(psnr, pixels, decoded)), **judge.judge(decoded, [scene.words for scene in scenes])}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--scenes", type=int, default=8192, help="how many training scenes samples are compared with")
    parser.add_argument("--unet", type=Path, default=UNET)
    parser.add_argument("--vae", type=Path, default=VAE)
    parser.add_argument("--classifier", type=Path, required=True, help="made by demo/train.py scene-classifier")
    parser.add_argument("--work-dir", type=Path, default=SCRATCH, help="where the emoji packages are or go")
    return parser.parse_args()


def main():
    options = parse_options()
    hosted.start_host()
    pack = hosted.load_pack()
    from support.demo_model import DemoModel
    demo = DemoModel(pack, options.unet, options.vae)
    from drawings import load_drawings
    from scene_captions import caption_of
    drawings = load_drawings(options.work_dir)
    judge, words = Judge(options.classifier, list(drawings)), chosen_words(list(drawings), options.prompts)
    result = measured(Samples(demo, [caption_of(one) for one in words]), judge, words, drawings, options)
    holds = {name: result[name] >= limit if name == "recognised" else result[name] <= limit
             for name, limit in LIMITS.items()}
    print(json.dumps({"benchmark": "testbed", "pictures": len(words) * options.seeds, **result,
                      "through_the_autoencoder": through_the_autoencoder(demo, judge, drawings, 2 * options.prompts),
                      "limits": LIMITS, "each_holds": holds, "holds": all(holds.values()),
                      "machine": measure.machine()}))
    return 0 if all(holds.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
