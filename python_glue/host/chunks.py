"""Which conds act, and keys of their chunks: all that must agree between two evaluations for features of one to serve
the other."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from .control import acting_controls


def hook_signature(patcher) -> tuple:
    """The hooks that the host has written into the weights of `patcher`, with their strengths."""
    hooks = getattr(patcher, "current_hooks", None)
    return () if hooks is None else tuple((str(hook.hook_ref), float(hook.strength)) for hook in hooks.hooks)


def _patch_signature(transformer_options: dict) -> tuple:
    # Patches by name and count, not by identity: Gligen makes a new closure for every call.
    patches = tuple(sorted((name, len(found)) for name, found in transformer_options.get("patches", {}).items()))
    replacements = tuple(sorted(
        (name, str(block), id(function))
        for name, by_block in transformer_options.get("patches_replace", {}).items()
        for block, function in by_block.items()))
    return patches, replacements


def _window_signature(transformer_options: dict) -> str:
    window = transformer_options.get("context_window")
    return "" if window is None else str(getattr(window, "index_list", window))


def _hooks(cond: dict) -> list:
    group = cond.get("hooks")
    return [] if group is None else group.hooks


def _acting(conds: list, sigma: float) -> list[tuple[int, dict]]:
    """Those of a CALC_COND_BATCH that are in their range at `sigma`, with the index of their conditioning."""
    return [(index, cond) for index, group in enumerate(conds) for cond in group or ()
            if cond.get("timestep_end", sigma) <= sigma <= cond.get("timestep_start", sigma)]


class Acting(NamedTuple):
    """How a cond acts in an evaluation."""

    strengths: tuple[float, ...]  # of its hooks
    controls: tuple[int, ...]  # which ControlNets of its chain are in their range


def acting_conds(conds: list, sigma: float) -> dict:
    """Which conds act at `sigma`, and how: (index of the conditioning, uuid) -> Acting."""
    return {(index, cond.get("uuid")): Acting(tuple(float(hook.strength) for hook in _hooks(cond)),
                                              acting_controls(cond.get("control"), sigma))
            for index, cond in _acting(conds, sigma)}


def what_changed(before: dict, now: dict) -> str:
    """Why features of an evaluation in which conds acted as in `before` do not serve one with `now`; empty where they
    do. What no longer acts leaves the others as they were."""
    if now.keys() - before.keys():
        return "a conditioning begins to act"
    if any(acting.strengths != before[name].strengths for name, acting in now.items()):
        return "the hooks of a conditioning change their strength"
    if any(acting.controls != before[name].controls for name, acting in now.items()):
        return "a ControlNet begins or ends to act"
    return ""


def advance_hooks(conds: list, sigma: float, timestep, patcher, model_options: dict):
    """Brings the hooks of the conds that act at `sigma`, `timestep` [batch] on the device, to their keyframes, so that
    all strengths of an evaluation are known before its first call. The host does the same for each cond, and then finds
    it done."""
    for _, cond in _acting(conds, sigma):
        if _hooks(cond):
            patcher.prepare_hook_patches_current_keyframe(timestep, cond["hooks"], model_options)


@dataclass(frozen=True)
class Chunks:
    """The cond chunks of a call, in batch order."""

    names: list = field(default_factory=list)  # (index of the conditioning, uuid, origins of its rows)
    keys: list[str] = field(default_factory=list)  # all that must agree for features of one to serve another
    reason: str = ""  # why there are none

    @property
    def roles(self) -> list[int]:
        """The indices of the conditionings, where all chunks have the same origins."""
        return [index for index, _, _ in self.names] if len({origins for _, _, origins in self.names}) == 1 else []


def chunks_of(x, has_control: bool, transformer_options: dict, unet: int, patcher, calc_pass: int, seen: Counter,
              canvas) -> Chunks:
    """The chunks of the batch `x` [batch, channels, height, width], in a call of `unet`, a number among those of the
    run. `seen`: how often each name came in this pass, counted on here; `canvas`: the Canvas of the pass, None where
    the host made none."""
    uuids = transformer_options.get("uuids") or []
    indices = transformer_options.get("cond_or_uncond") or []
    if not uuids or len(uuids) != len(indices):
        return Chunks(reason="the call does not say which conditionings it holds")
    rows, rest = divmod(x.shape[0], len(uuids))
    if rest or (canvas is not None and rows % canvas.batch):
        return Chunks(reason="the call has other rows than the conditionings that it names")
    origins = [0] * x.shape[0] if canvas is None else canvas.origins(x)
    if origins is None:
        return Chunks(reason="the call is on no part of the latent")
    common = (
        unet, calc_pass, rows, tuple(x.shape[1:]), str(x.dtype), str(x.device), has_control,
        hook_signature(patcher), _patch_signature(transformer_options), _window_signature(transformer_options),
    )
    names = [(index, str(uuid), tuple(origins[start:start + rows]))
             for index, uuid, start in zip(indices, uuids, range(0, len(origins), rows), strict=True)]
    keys = []
    for name in names:
        # Area conds that fill up share one uuid, in one call or several: repeats of one origin are told apart by
        # their order.
        keys.append(repr((*name, seen[name], common)))
        seen[name] += 1
    return Chunks(names, keys)
