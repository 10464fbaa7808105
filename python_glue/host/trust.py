"""Which parts of a UNet the engine runs in a call: the structure of its modules, and what the host's own classes do."""

import weakref
from dataclasses import replace

from .conformance import distrusted_classes
from .hosted_unet import HostedUNet
from .structure import Structure, structure_of

# By diffusion model, what the last survey found: one takes a tenth of a second, and all UNets of a queue are the same.
# A structure holds no more of the UNet than its layers.
_surveyed = weakref.WeakKeyDictionary()


def structure_in_force(module, hosted: HostedUNet, bound, layers: str, transformers: str) -> Structure:
    """Who runs what in a call. `bound`: the BoundUNet of its run, which keeps the structure for as long as it holds, or
    None outside of one; `layers`, `transformers`: why all layers, or all transformers, must see the call's options."""
    structure = None if bound is None else bound.structure()
    if structure is None:
        structure = _surveyed_structure(module, hosted)
        if bound is not None:
            bound.keep_structure(structure)
    if layers:
        return _with_all(structure, layers)
    if transformers:
        return _with_transformers(structure, hosted, transformers)
    return structure


def _surveyed_structure(module, hosted: HostedUNet) -> Structure:
    of, structure = _surveyed.get(module, (None, None))
    if of != hosted.spec or not structure.seen.holds():
        _surveyed.pop(module, None)
        structure = structure_of(module, hosted, distrusted_classes(hosted))
        if structure.outlives_runs:
            _surveyed[module] = hosted.spec, structure
    return structure


def _with_all(structure: Structure, reason: str) -> Structure:
    return structure if structure.all_reason else replace(structure, all_reason=reason)


def _with_transformers(structure: Structure, hosted: HostedUNet, reason: str) -> Structure:
    keys = [layer["key"] for block in hosted.blocks for layer in block["layers"] if layer["kind"] == "transformer"]
    return replace(structure, host_parts=dict.fromkeys(keys, reason) | structure.host_parts)
