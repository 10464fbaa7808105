"""A UNet in one sampling run: that of the patcher which the sampler holds, or of one on another device, bound to its
modules for as long as they stay what they are. What is made of its weights lives as long as that."""

import weakref

from .. import native
from .chunks import hook_signature
from .host_modules import Place
from .hosted_unet import HostedUNet, adopted_unet, drops_graphs, hosted_unet
from .run_graphs import RunGraphs
from .structure import Structure, closed_addresses, replaced_forward
from .weights import Binding, bind, residency


class BoundUNet:
    """Calls of one thread at a time, which hold the lock of the hosted UNet."""

    def __init__(self, module, hosted: HostedUNet, patcher=None):
        """`patcher`: of the diffusion model `module`, None where it is known by the call alone."""
        self.patcher = patcher
        self.hosted = hosted
        self._module = weakref.ref(module)
        self._residency = None
        self._structure = None
        self._bindings = {}
        self.graphs = RunGraphs(hosted.graphs)
        self.projected = native.native_module().ProjectionCache()
        self._projected_by = None  # the binding that they are of
        self.places: dict[str, Place] = {}
        self.native_share = 1.0  # of the leaves, in the last call

    @classmethod
    def of(cls, patcher, where: str = "ASDM") -> "BoundUNet":
        """RuntimeError at `where` where the MODEL holds no Stable Diffusion UNet."""
        return cls(patcher.model.diffusion_model, hosted_unet(patcher.model, where), patcher)

    def like(self, module) -> "BoundUNet | None":
        """`module`, another diffusion model of this structure; None where it has another."""
        hosted = adopted_unet(module, self.hosted.spec)
        return BoundUNet(module, hosted) if hosted and hosted.spec == self.hosted.spec else None

    def is_of(self, module) -> bool:
        return self._module() is module

    @property
    def current_patcher(self):
        """The patcher that the host has loaded the model by."""
        return None if self.patcher is None else self.patcher.model.current_patcher

    def structure(self) -> Structure | None:
        """Who runs what; None where that is to be told anew."""
        now = None if self.patcher is None else residency(self.patcher.model)
        if self._structure is not None and not self._structure.seen.holds():
            self._structure = None
        if now != self._residency or self._structure is None:
            self._residency = now
            self._bindings.clear()
        return self._structure

    def keep_structure(self, structure: Structure):
        self._structure = structure

    def bind(self, structure: Structure, device) -> Binding:
        """Bound once, and anew whenever the host moved or patched weights, or something was replaced."""
        key = (device, structure.all_reason, frozenset(structure.host_parts))
        if key not in self._bindings:
            self._bindings[key] = bind(self._module(), self.hosted.unet, structure, device, self.places)
            self.native_share = self._share(self._bindings[key].structure)
        return self._bindings[key]

    def projections(self, binding: Binding, clear_derived):
        """What the run made of prompts so far, for a call with `binding`; what it made of held features goes the same
        way: `clear_derived()`. None where weights may be others at each call: offloaded, patched at use, or written
        into by the hooks of a conditioning."""
        wrote = binding.wrote()
        if wrote or binding is not self._projected_by:
            self.projected.clear()
            clear_derived()
            self._projected_by = binding
        return self.projected if binding.all_resident and not hook_signature(self.current_patcher) else None

    def closed(self, structure: Structure) -> set[str]:
        """Addresses that the engine cannot keep apart from what the host runs around them."""
        if not structure.host_runs_any:
            return set()
        return closed_addresses(structure, self.hosted.blocks, self.hosted.leaf_names)

    def bypass(self) -> str:
        """Why calls of the UNet do not come to the engine; empty where they do."""
        return replaced_forward(self._module())

    def _share(self, structure: Structure) -> float:
        """Of the leaves that the engine computes."""
        if structure.all_reason:
            return 0.0
        prefixes = tuple(f"{part}." for part in structure.host_parts)
        hosts = [name for index, name in enumerate(self.hosted.leaf_names)
                 if index in structure.host_leaves or name.startswith(prefixes) or name in structure.host_parts]
        return 1.0 - len(hosts) / len(self.hosted.leaf_names)

    def clear(self):
        """Drops what was made of prompts."""
        self.projected.clear()
        self._projected_by = None

    def release(self):
        """Drops all but what reports tell, and graphs that the next run may find."""
        self.clear()
        self.graphs.close(lasting=drops_graphs(self.patcher))
        self._bindings.clear()
        self._structure = None
        self._residency = None
        self.hosted.unet.release_workspace()
