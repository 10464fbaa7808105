"""What scenes may show and how they are captioned: which wordings there are and which one a scene gets."""
import csv
import itertools
import random
from pathlib import Path

SEED = 20261128
OBJECTS = Path(__file__).with_name("scene_objects.csv")


def load_objects():
    """{word: icon name}, in file order: what a scene may hold and what the packages call it."""
    with open(OBJECTS, newline="", encoding="utf-8") as handle:
        return {row["word"]: row["icon"] for row in csv.DictReader(handle)}


def caption_of(words):
    """The caption: the objects and nothing else, as in "cat", "cat and tree" and "cat, tree and car"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


class Captions:
    """Row 0 is the empty prompt. Pairs are worded in both orders; each set of three has one order, by lot."""

    def __init__(self, words):
        shuffle = random.Random(SEED).shuffle
        singles = [(word,) for word in words]
        pairs = list(itertools.permutations(words, 2))
        triples = [list(triple) for triple in itertools.combinations(words, 3)]
        for triple in triples:
            shuffle(triple)
        worded = [*singles, *pairs, *map(tuple, triples)]
        self.prompts = ["", *map(caption_of, worded)]
        self._rows = {self._key(words): row for row, words in enumerate(worded, start=1)}

    @staticmethod
    def _key(words):
        return frozenset(words) if len(words) == 3 else tuple(words)

    def row(self, words):
        """The row of `prompts` that a scene with these words is captioned by."""
        return self._rows[self._key(words)]
