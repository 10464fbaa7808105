"""The model of scenes (demo/README.md): what its pictures show is decided by the noise, as with models that people use.
What is best for a model that falls back to pictures that it knows by heart need not be best for one that does not."""

import itertools
import random

from support import hosted
from support.demo_model import DemoModel

WEIGHTS = hosted.ROOT / "demo" / "weights"
UNET, VAE = WEIGHTS / "asdm_demo_scenes_unet.safetensors", WEIGHTS / "asdm_demo_scenes_vae.safetensors"
OBJECTS_IN_TURN = (1, 2, 1, 3, 2)  # of the prompts: how many objects each names


def scenes_model(pack, held_out: bool) -> DemoModel:
    """With one half of the prompts: that which tables and constants are made on, or that which is reported on."""
    return DemoModel(pack, UNET, VAE, prompts(held_out))


def prompts(held_out: bool) -> list[str]:
    from scene_captions import Captions, load_objects
    known = Captions(list(load_objects())).prompts[1:]
    random.Random(1).shuffle(known)
    decks = {number: [caption for caption in known if 1 + caption.count(",") + caption.count(" and ") == number]
             for number in OBJECTS_IN_TURN}
    halves = {number: deck[held_out::2] for number, deck in decks.items()}
    turns = min(len(half) // OBJECTS_IN_TURN.count(number) for number, half in halves.items())
    in_turn = {number: iter(half) for number, half in halves.items()}
    return [next(in_turn[number]) for number in itertools.islice(itertools.cycle(OBJECTS_IN_TURN),
                                                                 turns * len(OBJECTS_IN_TURN))]
