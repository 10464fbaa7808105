"""Who computes which part of a UNet: the engine, or the host's own module.

The engine computes from weights and structure. Where a module is not what it knows (another class, a function of its
own, a hook, a parameter that it does not read), the smallest part around it that the engine can do without is the
host's: a leaf, a unit of a transformer block, the block, a layer. What another pack has put between layers is run in
its place.
"""

import weakref
from dataclasses import dataclass, field

import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import openaimodel

from .. import native
from .expected_modules import PLAIN, expected_modules
from .experts_res_block import ExpertsResBlock
from .host_code import CONTAINERS, FUNCTIONS, LEAVES, HostCode

_ROOT_CHILDREN = frozenset(("time_embed", "label_emb", "input_blocks", "middle_block", "output_blocks", "out",
                            "asdm_unet_spec"))
_LAYER_CLASSES = {"res": (openaimodel.ResBlock, ExpertsResBlock), "transformer": (attention.SpatialTransformer,),
                  "up": (openaimodel.Upsample,), "down": (openaimodel.Downsample,), "conv": (torch.nn.Conv2d,)}
# Attributes that change no result, or that the engine follows.
_FOLLOWED = frozenset(("training", "checkpoint", "use_checkpoint", "comfy_cast_weights", "attn_precision",
                       "default_num_video_frames"))
# Where more blocks than this share have layers or leaves of foreign kinds (motion modules, the layers of video UNets,
# quantised weights), all layers are the host's: what it computes in every block anyway is then right to the bit.
SHARE_OF_BLOCKS = 0.5
_GLOBAL_HOOKS = (torch.nn.modules.module._global_forward_hooks, torch.nn.modules.module._global_forward_pre_hooks)
_HOLDS_NOTHING = (*PLAIN, type, torch.dtype, torch.device)
_OF_CHILDREN = frozenset(("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"))
_WEIGHTS = (torch.nn.Parameter, torch.Tensor, type(None))  # classes; None until another pack has loaded it


@dataclass
class Structure:
    """Who computes what. Names are those of the checkpoint; addresses those of reports."""

    walk_reason: str = ""  # why the host's own forward must call the blocks; empty where the engine may
    leaves: list = field(default_factory=list)  # by index: the module, None where it cannot be found
    host_leaves: dict = field(default_factory=dict)  # index -> why
    parts: dict = field(default_factory=dict)  # name -> module, of all that may run as a part
    host_parts: dict = field(default_factory=dict)  # name -> why
    injected: list = field(default_factory=list)  # (block, position, module)
    all_reason: str = ""  # why all layers are the host's; empty where they are not
    seen: "Seen" = None  # what was looked at

    @property
    def host_runs_any(self) -> bool:
        return bool(self.host_leaves or self.host_parts or self.injected or self.all_reason)

    @property
    def outlives_runs(self) -> bool:
        """Whether it may be kept beside the UNet: code that others put into modules can hold on to the UNet itself."""
        return not self.host_runs_any and not self.walk_reason and self.seen.outlives_runs


def structure_of(module, hosted, distrusted: dict | None = None) -> Structure:
    """Who computes what of the diffusion model `module`, whose structure the HostedUNet has. `distrusted`: classes of
    the host whose work is not what the engine does -> why."""
    return _Survey(module, hosted, distrusted or {}).structure


def replaced_forward(module) -> str:
    """Who replaced the forward of the diffusion model `module`, by which the host asks wrappers; empty where nobody."""
    if "forward" in vars(module):
        return "the UNet has a forward of its own"
    return HostCode().replaced(type(module))


class Seen:
    """What a survey looked at, and whether it is still what it was: modules and their attributes, weights and hooks,
    and the functions of the host that do their work."""

    def __init__(self, module, code: HostCode):
        named, dicts, lists = [], list(_GLOBAL_HOOKS), []
        for part in module.modules():
            kind, own = type(part), part.__dict__
            names = list(own)  # of what the engine does not know anything may count
            if kind in FUNCTIONS:
                names = [name for name in code.reads(kind) if name in own or hasattr(kind, name)]
            named.append((own, ["_compiled_call_impl", "_call_impl", *FUNCTIONS.get(kind, ()), *names]))
            dicts += (part._parameters, part._modules, part._forward_hooks, part._forward_pre_hooks)
            lists += [value for value in map(own.get, names) if isinstance(value, list)]
        self._objects = native.native_module().Snapshot(list(module.modules()), named, dicts, lists)
        self._functions = code.functions()
        self._module = weakref.ref(module)

    @property
    def outlives_runs(self) -> bool:
        """Whether it may be kept beside the module: nothing that was looked at can hold on to the module itself."""
        return all(name in _OF_CHILDREN or _holds_nothing(value)
                   for part in self._module().modules() for name, value in part.__dict__.items())

    def holds(self) -> bool:
        return (self._objects.holds()
                and all(getattr(owner, name, None) is function and getattr(function, "__code__", None) is code
                        for owner, name, function, code in self._functions))


def closed_addresses(structure: Structure, blocks: list, leaf_names: list) -> set[str]:
    """Addresses of units and layers that the engine cannot keep apart from what the host runs around them. `blocks`,
    `leaf_names`: of the native UNet."""
    closed = set()
    for block in blocks:
        for layer in block["layers"]:
            hosts = bool(structure.all_reason) or layer["key"] in structure.host_parts
            inside = [part.removeprefix(f"{layer['key']}.transformer_blocks.")
                      for part in structure.host_parts if part.startswith(f"{layer['key']}.transformer_blocks.")]
            for unit in layer["units"]:
                name = unit.removeprefix(f"{layer['address']}.")
                if hosts or any(name.startswith(f"{part}.") for part in inside):
                    closed.add(unit)
            if hosts and layer["has_skip"]:
                skip = structure.leaves[leaf_names.index(f"{layer['key']}.skip_connection")]
                if skip is None:  # what goes past the layer cannot be told from what it adds
                    closed.add(layer["address"])
    return closed


def _holds_nothing(value) -> bool:
    if isinstance(value, (list, set, dict)):
        return all(isinstance(element, PLAIN) for element in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, _HOLDS_NOTHING)


class _Survey:
    def __init__(self, module, hosted, distrusted: dict):
        unet = hosted.unet
        self._module = module
        self._distrusted = distrusted
        self._code = HostCode()
        self._precision = next((part.attn_precision for part in module.modules() if hasattr(part, "attn_precision")),
                               None)  # of all attention, as hooks.py has it
        self._expected = expected_modules(hosted.spec)
        self._leaf_ids = {name: index for index, (name, _, _) in enumerate(unet.leaves())}
        self._shapes = unet.leaves()
        self._blocks = unet.blocks()
        self._part_names = set(unet.parts())
        self.structure = Structure(leaves=[None] * len(self._leaf_ids))
        self._foreign = {}  # blocks with something of a foreign kind -> what it is
        self._survey()

    def _survey(self):
        found = self.structure
        found.walk_reason = self._replaced_walk() or self._foreign_root()
        if not found.walk_reason:
            for number, block in enumerate(self._blocks):
                self._survey_block(number, block)
        if not found.walk_reason:
            self._survey_root()
        if any(_GLOBAL_HOOKS):
            found.all_reason = "torch has forward hooks for all modules"
        elif len(self._foreign) > SHARE_OF_BLOCKS * len(self._blocks):
            found.all_reason = next(iter(self._foreign.values()))
        found.seen = Seen(self._module, self._code)

    def _replaced_walk(self) -> str:
        """Why what runs the blocks is not what the engine does; empty where it is."""
        own = self._module.__dict__.keys() & {"forward", "_forward"}
        if own:
            return f"the UNet has a {own.pop()} of its own"
        walks = self._expected[""].kind
        return (self._code.replaced(walks) or self._other_setting("", self._module)
                or self._distrusted.get(openaimodel.UNetModel, ""))

    def _foreign_root(self) -> str:
        for name, child in self._module.named_children():
            if name not in _ROOT_CHILDREN and (_has_tensors(child) or name in self._code.names_in(type(self._module))):
                return f"the UNet has a module {name}, a {_class_text(child)}"
        return ""

    def _survey_root(self):
        """Embeddings and head: leaves in sequences."""
        for name in ("time_embed", "label_emb", "out"):
            child = getattr(self._module, name, None)
            for path, part in [] if child is None else child.named_modules(prefix=name):
                if path in self._leaf_ids:
                    if reason := self._take_leaf(path, part):
                        self.structure.host_leaves[self._leaf_ids[path]] = reason
                elif reason := self._fault(path, part):
                    self.structure.walk_reason = f"{path}: {reason}"

    def _survey_block(self, number: int, block: dict):
        keys = [layer["key"] for layer in block["layers"]]
        parent = keys[0].rpartition(".")[0]
        try:
            container = self._module.get_submodule(parent)
        except AttributeError:
            self.structure.walk_reason = f"the UNet has no block {parent}"
            return
        children = dict(container.named_children())
        placed = _align(children, block["layers"])
        if placed is None:
            classes = ", ".join(map(_class_text, children.values()))
            self.structure.walk_reason = f"{parent} has the layers {classes}, which are not the UNet's"
            return
        layers, injected = placed
        for position, child in injected:
            self.structure.injected.append((number, position, child))
            self._foreign.setdefault(number, f"a {_class_text(child)} was put into {parent}")
        for layer, child in zip(block["layers"], layers, strict=True):
            self._survey_layer(number, layer, child)

    def _survey_layer(self, number: int, layer: dict, child):
        key = layer["key"]
        expected = {name for name in self._leaf_ids if name == key or name.startswith(f"{key}.")}
        modules = {f"{key}.{path}" if path else key: part for path, part in child.named_modules()}
        self.structure.parts[key] = child
        for path, part in modules.items():
            if path in self._part_names:
                self.structure.parts[path] = part
        faults = {}
        if type(child) not in _LAYER_CLASSES[layer["kind"]] and key not in expected:
            faults[key] = f"it is a {_class_text(child)}"
            self._foreign.setdefault(number, f"{key} is a {_class_text(child)}")
        for path in sorted(expected - modules.keys()):
            faults[path] = "it is missing"
        for path, part in modules.items():
            if path in expected:
                reason = self._take_leaf(path, part)
            else:
                reason = self._fault(path, part, modules.get(path.rpartition(".")[0]))
            if reason:
                faults.setdefault(path, reason)
        self._blame(number, key, expected, faults)

    def _blame(self, number: int, key: str, expected: set, faults: dict):
        """Gives to the host the smallest parts that have a fault inside."""
        blamed = {}
        for path, reason in faults.items():
            if path in expected and self.structure.leaves[self._leaf_ids[path]] is not None:
                self.structure.host_leaves[self._leaf_ids[path]] = reason
            else:
                part = self._part_around(path, key)
                blamed.setdefault(part, reason if part == path else f"{path.removeprefix(part + '.')}: {reason}")
            if path in expected and _is_foreign_leaf(self.structure.leaves[self._leaf_ids[path]]):
                self._foreign.setdefault(number, f"{path}: {reason}")
        for part, reason in blamed.items():
            if not any(part != other and part.startswith(f"{other}.") for other in blamed):
                self.structure.host_parts[part] = reason

    def _part_around(self, path: str, key: str) -> str:
        while path != key and path not in self.structure.parts:
            path = path.rpartition(".")[0]
        return path

    def _take_leaf(self, path: str, part) -> str:
        """Notes the module of a leaf; why the engine cannot do its work, empty where it can."""
        index = self._leaf_ids[path]
        self.structure.leaves[index] = part
        return self._leaf_fault(part, *self._shapes[index])

    def _fault(self, path: str, part, parent=None) -> str:
        """Why the engine cannot do the work of a module that is no leaf; empty where it can, or where it does none."""
        kind, expected = type(part), self._expected.get(path)
        if kind not in CONTAINERS or expected is None or kind is not expected.kind:
            return self._weightless_fault(part, parent, path.rpartition(".")[2])
        if [name for name in part._modules if name in expected.children] != list(expected.children):
            return f"it has the children {', '.join(part._modules)}, expected {', '.join(expected.children)}"
        return self._other_work(path, part)

    def _weightless_fault(self, part, parent, name: str) -> str:
        """Why a module of a class that the engine does not know matters; empty where nothing calls it, or it does
        nothing."""
        ordered = isinstance(parent, (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict))
        called = (parent is None or ordered or type(parent) not in CONTAINERS
                  or name in self._code.names_in(type(parent)))
        if not called and not _has_tensors(part):
            return ""
        # The host's place for an attention function of the checkpoint's; without one it does nothing.
        if type(part).__name__ == "ComfyAttention" and getattr(part, "function", part) is None:
            return own_code(part)
        return f"it is a {_class_text(part)}"

    def _other_work(self, path: str, part) -> str:
        """What a module of a known class does that the host's own at its place does not; empty where nothing."""
        kind = type(part)
        return (self._distrusted.get(kind, "") or own_code(part) or self._code.replaced(kind)
                or self._other_setting(path, part))

    def _other_setting(self, path: str, part) -> str:
        own, expected = part.__dict__, self._expected[path].settings
        if own.get("attn_precision", self._precision) is not self._precision:
            return f"it has attn_precision={own['attn_precision']}, expected {self._precision}"
        read = (self._code.reads(type(part)) - _FOLLOWED) & (own.keys() | expected.keys())
        for name in sorted(read, reverse=True):
            value, usual = own.get(name), expected.get(name)
            plain = isinstance(value, PLAIN)
            if (plain or name in expected) and not (plain and value == usual):
                return f"it has {name}={value!r}, expected {usual!r}"
        return ""

    def _leaf_fault(self, part, path: str, shape: list, has_bias: bool) -> str:
        """Why the engine cannot compute the leaf `path` with weights of `shape`; empty where it can."""
        kind = type(part)
        if kind not in LEAVES or kind.__name__ != self._expected[path].kind.__name__:
            return f"it is a {_class_text(part)}"
        if reason := self._other_work(path, part):
            return reason
        weight, bias = part._parameters.get("weight"), part._parameters.get("bias")
        if weight is None:
            return "its weight is not there yet"
        if type(weight) not in _WEIGHTS:
            return f"its weight is a {type(weight).__name__}"
        if list(weight.shape) != list(shape):
            return f"its weight has the shape {tuple(weight.shape)}, expected {tuple(shape)}"
        if (bias is not None) != has_bias or (has_bias and list(bias.shape) != shape[:1]):
            return "its bias is another one than the UNet has"
        if not weight.is_floating_point():
            return f"its weight holds {weight.dtype}"
        return ""


def _align(children: dict, layers: list):
    """(the module of each layer, [(position, module)] of what was put between them); None where they do not fit."""
    names = [layer["key"].rpartition(".")[2] for layer in layers]
    if list(children) == names:
        return list(children.values()), []
    rest, found, injected = list(children.values()), [], []
    for position, layer in enumerate(layers):
        place = next((i for i, child in enumerate(rest) if isinstance(child, _LAYER_CLASSES[layer["kind"]])), None)
        if place is None:
            return None
        injected += [(position, child) for child in rest[:place]]
        found.append(rest[place])
        rest = rest[place + 1:]
    return found, injected + [(len(layers), child) for child in rest]


def _class_text(module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _has_tensors(module) -> bool:
    return next(module.parameters(), None) is not None or next(module.buffers(), None) is not None


def own_code(part) -> str:
    """What this one module does that others of its class do not; empty where nothing."""
    if part._forward_hooks or part._forward_pre_hooks:
        return "it has a forward hook"
    for name, value in part.__dict__.items():
        if callable(value) and not isinstance(value, type) and hasattr(type(part), name):
            return f"it has a {name} of its own"
    return ""


def _is_foreign_leaf(part) -> bool:
    """Whether its class or that of its weight is one that the engine does not know."""
    return part is not None and (type(part) not in LEAVES or type(part._parameters.get("weight")) not in _WEIGHTS)
