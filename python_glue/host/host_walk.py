"""The host's own forward, of which whole blocks are inherited: for calls whose order of work is not the engine's,
because another pack replaced the forward or the call carries what only it can read.

The host calls each of its blocks through one function of its own. For the time of a call that function asks here first.
"""

import threading

from comfy.ldm.modules.diffusionmodules import openaimodel

from .hosted_unet import HostedUNet
from .standing_in import standing_in


class _Misfit(Exception):
    """An inherited feature is of another size than what the host has there now."""


# Walks of several devices come in threads of their own, and there is one function that they stand in for.
_walking = threading.RLock()


class HostWalk:
    """One call of the diffusion model `module`."""

    def __init__(self, hosted: HostedUNet, module, shapes: dict):
        """`shapes`: of the value of each block, by (node, size of the latent); kept by the run."""
        self._hosted = hosted
        self._shapes = shapes
        self._nodes = {}
        for node, block in enumerate(hosted.blocks):
            parent = _submodule(module, block["layers"][0]["key"].rpartition(".")[0])
            if parent is not None:  # else another pack took it out
                self._nodes[id(parent)] = node
        self.met = 0  # blocks that came by here: none where the forward calls them another way

    def run(self, features, x, forward):
        """What `forward()` gives, the host's forward on `x` [batch, channels, height, width]; `features`: a native
        CallFeatures, which learns what was computed and inherited."""
        whole = len(self._hosted.blocks)
        if features.holds(whole):
            return features.inherited(whole).clone()
        try:
            output = self._walked(features, x, forward)
        except _Misfit:
            features.abandon_inheritance("feature shape changed")
            output = self._walked(features, x, forward)
        features.computed(whole, output.clone() if features.wants(whole) else None)
        return output

    def _live(self, features, size: tuple):
        """The blocks that an inheriting call computes; None where it computes all, as it does where the engine made the
        calls before: what nobody reads is told to the host by its size."""
        if not features.inherits:
            return None
        live = self._hosted.unet.live_blocks(features.sites)
        if all(node in live or features.holds(node) or (node, size) in self._shapes for node in self._nodes.values()):
            return live
        features.abandon_inheritance("the host's forward has not shown the sizes of its blocks yet")
        return None

    def _walked(self, features, x, forward):
        thread, size = threading.get_ident(), tuple(x.shape[2:])
        live = self._live(features, size)

        def forward_timestep_embed(ts, h, *arguments, **named):
            node = self._nodes.get(id(ts))
            if node is None or threading.get_ident() != thread:
                return original(ts, h, *arguments, **named)
            self.met += 1
            if features.holds(node):
                return features.inherited(node).clone()  # the host writes into what it gets
            if live is not None and node not in live:
                return h.new_zeros(h.shape[0], *self._shapes[node, size])  # nobody reads it
            return self._computed(features, node, size, h, lambda: original(ts, h, *arguments, **named))

        with _walking:
            original = openaimodel.forward_timestep_embed
            with standing_in(openaimodel, "forward_timestep_embed", forward_timestep_embed):
                return forward()

    def _computed(self, features, node: int, size: tuple, h, compute):
        if not features.enter(node, h.shape[2], h.shape[3]):
            raise _Misfit
        value = compute()
        self._shapes[node, size] = tuple(value.shape[1:])
        features.computed(node, value.clone() if features.wants(node) else None)
        for inside in self._hosted.inside[node]:
            features.computed(inside, None)
        return value


def _submodule(module, path: str):
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
