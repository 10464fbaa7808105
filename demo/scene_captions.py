"""The captions of scenes: which wordings there are and which one a scene gets."""
import itertools
import random

from scenes import SEED, caption_of


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
