"""Latents of freshly painted scenes: a ring in which new scenes take the place of the oldest.

The encoder costs a good part of a training step, so each scene is used a few times, each time with other noise.
"""
import torch
from scenes import paint_scene


class ScenePool:
    """`size` scenes in latents, with the caption's row for each."""

    def __init__(self, drawings, captions, encoder, size):
        self._drawings, self._captions, self._encoder = drawings, captions, encoder
        self.latents = torch.zeros(size, 4, 16, 16)
        self.rows = torch.zeros(size, dtype=torch.long)
        self.painted = 0  # scenes so far: the number of the next one

    def paint(self, count):
        """Paint `count` scenes into the ring."""
        numbers = range(self.painted, self.painted + count)
        scenes = [paint_scene(self._drawings, number) for number in numbers]
        pictures = torch.stack([torch.from_numpy(scene.pixels).permute(2, 0, 1) for scene in scenes])
        places = torch.tensor([number % len(self.rows) for number in numbers])
        self.latents[places] = self._encoder.encode(pictures)
        self.rows[places] = torch.tensor([self._captions.row(scene.words) for scene in scenes])
        self.painted += count

    def state_dict(self):
        """What a checkpoint keeps, so that nothing is encoded again."""
        return {"latents": self.latents, "rows": self.rows, "painted": self.painted}

    def load_state_dict(self, state):
        """Continue from `state_dict`."""
        if state["rows"].shape != self.rows.shape:
            raise SystemExit(f"checkpoint: expected a pool of {len(self.rows)} scenes, got {len(state['rows'])}")
        self.latents.copy_(state["latents"])
        self.rows.copy_(state["rows"])
        self.painted = state["painted"]
