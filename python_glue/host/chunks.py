"""Which conds act, and keys of their chunks: all that must agree between two evaluations for features of one to serve
the other."""

from collections import Counter


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


def acting_conds(conds: list, sigma: float) -> dict:
    """Which conds act at `sigma`, and how: (index of the conditioning, uuid) -> strengths of the hooks."""
    return {(index, cond.get("uuid")): tuple(float(hook.strength) for hook in _hooks(cond))
            for index, cond in _acting(conds, sigma)}


def advance_hooks(conds: list, sigma: float, timestep, patcher, model_options: dict):
    """Brings the hooks of the conds that act at `sigma`, `timestep` [batch] on the device, to their keyframes, so that
    all strengths of an evaluation are known before its first call. The host does the same for each cond, and then finds
    it done."""
    for _, cond in _acting(conds, sigma):
        if _hooks(cond):
            patcher.prepare_hook_patches_current_keyframe(timestep, cond["hooks"], model_options)


def chunk_keys(x, has_control: bool, transformer_options: dict, patcher, calc_pass: int, seen: Counter) -> list[str]:
    """One key per cond chunk of the batch `x` [batch, channels, height, width], in batch order. `seen`: how often each
    (index of the conditioning, uuid) came in this pass, counted on here.

    Empty where the host does not say which chunks the batch holds (foreign callers): nothing is inherited then.
    """
    uuids = transformer_options.get("uuids") or []
    indices = transformer_options.get("cond_or_uncond") or []
    if not uuids or len(uuids) != len(indices) or x.shape[0] % len(uuids):
        return []
    common = (
        calc_pass, x.shape[0] // len(uuids), tuple(x.shape[1:]), str(x.dtype), str(x.device), has_control,
        hook_signature(patcher), _patch_signature(transformer_options), _window_signature(transformer_options),
    )
    keys = []
    for index, uuid in zip(indices, uuids, strict=True):
        # Area conds that fill up share one uuid, in one call or several, and a tiling model wrapper calls with the same
        # ones for each batch of tiles: repeats are told apart by their order.
        keys.append(repr((index, str(uuid), seen[index, uuid], common)))
        seen[index, uuid] += 1
    return keys
