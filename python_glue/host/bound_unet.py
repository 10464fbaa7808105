"""The UNet of one sampling run: that of the patcher which the sampler holds, bound to its modules for as long as they
stay what they are."""

import weakref

from .host_modules import Place
from .hosted_unet import HostedUNet, adopted_unet, hosted_unet
from .structure import Structure, closed_addresses
from .weights import Binding, bind, residency


class BoundUNet:
    def __init__(self, patcher, where: str = "ASDM"):
        """RuntimeError at `where` where the MODEL holds no Stable Diffusion UNet."""
        self.patcher = patcher
        self.hosted = hosted_unet(patcher.model, where)
        self._module = weakref.ref(patcher.model.diffusion_model)
        self._residency = None
        self._structure = None
        self._bindings = {}
        self.places: dict[str, Place] = {}
        self.native_share = 1.0  # of the leaves, in the last call

    @property
    def base_model(self):
        return self.patcher.model

    def hosted_for(self, module) -> HostedUNet:
        """The UNet of `module`, which calls of the run bring: the run's own, or on another device one like it."""
        return self.hosted if module is self._module() else adopted_unet(module, self.hosted.spec_json)

    def structure(self) -> Structure | None:
        """Who runs what; None where that is to be told anew."""
        now = residency(self.base_model)
        if now != self._residency or not all(binding.is_current() for binding in self._bindings.values()):
            self._residency = now
            self._structure = None
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

    def closed(self, structure: Structure) -> set[str]:
        return closed_addresses(structure, self.hosted.blocks, self.hosted.leaf_names) if structure.host_runs_any \
            else set()

    def _share(self, structure: Structure) -> float:
        """Of the leaves that the engine computes."""
        if structure.all_reason:
            return 0.0
        prefixes = tuple(f"{part}." for part in structure.host_parts)
        hosts = [name for index, name in enumerate(self.hosted.leaf_names)
                 if index in structure.host_leaves or name.startswith(prefixes) or name in structure.host_parts]
        return 1.0 - len(hosts) / len(self.hosted.leaf_names)

    def release(self):
        self._bindings.clear()
        self._structure = None
        self._residency = None
        self.hosted.unet.release_workspace()
