"""The UNet of one of the host's models, as the engine sees it: its structure, and what settings mean on it.

Found when it is needed and never kept in a MODEL: the host clones MODELs around other models, and copies models.
"""

import functools
import threading
import weakref

import torch
from comfy.patcher_extension import CallbacksMP

from .. import native
from .assembled_unet import AssembledUNet
from .run_graphs import KeptGraphs
from .settings import EngineSettings
from .unet_config import SD_FAMILIES, describe

PROMPT_TOKENS = 77  # where the host does not say; long prompts come in multiples
_known = weakref.WeakKeyDictionary()  # by the host's diffusion model


class HostedUNet:
    """Structure, and on a GPU graphs: no weights, and nothing that keeps the host's modules alive."""

    def __init__(self, spec):
        self.spec = spec
        self.family = spec.family
        self.unet = native.native_module().UNet(spec)
        self.addresses = self.unet.node_addresses()
        self.leaf_names = [name for name, _, _ in self.unet.leaves()]
        self.blocks = self.unet.blocks()
        self.inside = [[self.addresses.index(address) for layer in block["layers"]
                        for address in (layer["address"], *layer["units"])] for block in self.blocks]
        self.graphs = KeptGraphs()
        # One call at a time: a UNet's working memory, and the state of a run, are for one thread.
        self.lock = threading.RLock()
        self._settings = weakref.WeakKeyDictionary()

    def inheritance(self, settings: EngineSettings):
        """Native settings of the inheritance; None where nothing is inherited. ValueError for unknown names and for
        settings without sense."""
        if not settings.inheritance:
            return None
        if settings not in self._settings:
            self._settings[settings] = native.native_module().InheritanceSettings(self.unet, settings.inheritance,
                                                                                  settings.asked_at)
        return self._settings[settings]

    def kept_bytes(self, settings: EngineSettings, input_shape, element_size: int, device: torch.device) -> int:
        """Bytes that the stored features of a call of `input_shape` [batch, channels, height, width] take, and the sums
        of held ones, of which none are kept on a GPU."""
        inherited = self.inheritance(settings)
        if inherited is None:
            return 0
        rows, _, height, width = input_shape
        return self.unet.kept_bytes(inherited, rows, height, width, element_size, device.type == "cpu")

    def prompt_bytes(self, input_shape, cond_shapes: dict, element_size: int, device: torch.device) -> int:
        """Bytes that keys and values of prompts take in calls of `input_shape` with conds of `cond_shapes`: name ->
        [shape]. None are kept on a GPU, where knowing a prompt again would wait for all its work."""
        if device.type != "cpu":
            return 0
        tokens = max((shape[1] for shape in cond_shapes.get("c_crossattn", ())), default=PROMPT_TOKENS)
        return self.unet.projection_bytes(input_shape[0], tokens, element_size)


def hosted_unet(base_model, where: str = "ASDM") -> HostedUNet:
    """The UNet of a BaseModel of the host. RuntimeError at `where` where it is no Stable Diffusion UNet."""
    described = describe(base_model)
    if described["refusal"]:
        raise RuntimeError(f"{where}: expected the UNet of {SD_FAMILIES}, got {described['class_name']}: "
                           f"{described['refusal']}")
    module = base_model.diffusion_model
    found = _known.get(module)
    if found is None or found.spec != described["spec"]:
        found = _known[module] = HostedUNet(described["spec"])
    return found


def drop_graphs(patcher, weights_leave: bool):
    """The host calls it when it unloads a model by `patcher`, and when another clone takes over weights that stay. The
    memory of its graphs goes with the weights."""
    found = _known.get(patcher.model.diffusion_model) if weights_leave else None
    if found is not None:
        found.graphs.drop()


def drops_graphs(patcher) -> bool:
    """Whether the host will call `drop_graphs` when it unloads the weights by `patcher`, which a run may not know."""
    return patcher is not None and drop_graphs in patcher.get_all_callbacks(CallbacksMP.ON_DETACH)


def adopted_unet(module, spec) -> HostedUNet | None:
    """The UNet of a diffusion model that nobody has met before, such as a copy of one that has the structure
    `spec`; None where it has other blocks."""
    found = _known.get(module)
    if found is None:
        spec = module.spec if isinstance(module, AssembledUNet) else spec
        if not _has_blocks(module, spec):
            return None
        found = _known[module] = HostedUNet(spec)
    return found


def _has_blocks(module, spec) -> bool:
    counts = _block_counts(spec)
    return all(len(getattr(module, name, ())) == count for name, count in counts.items())


@functools.lru_cache(maxsize=8)  # a UNet that is refused comes again at each of its calls
def _block_counts(spec) -> dict[str, int]:
    """How many blocks each list of the diffusion model of a UNetSpec has."""
    kinds = [block["kind"] for block in native.native_module().UNet(spec).blocks()]
    return {"input_blocks": kinds.count("input"), "output_blocks": kinds.count("output")}
