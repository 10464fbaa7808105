"""Runs parts of a UNet by the host's own modules, with the arguments that the host's forward would give them."""

from dataclasses import dataclass, field

import torch
from comfy.ldm.modules.diffusionmodules import openaimodel

from .. import native
from .span import Span, time_stamp
from .structure import Structure

# Arguments of the host's forward that it hands on to its layers, and that the engine does not read.
VIDEO_ARGUMENTS = ("time_context", "num_video_frames", "image_only_indicator")


@dataclass
class Place:
    """A place of the UNet that the host's code runs."""

    address: str
    reason: str
    calls: int = 0
    spans: list = field(default_factory=list)

    def row(self) -> dict:
        return {"address": self.address, "reason": self.reason, "calls": self.calls,
                "seconds": sum(span.seconds for span in self.spans)}


class HostModules:
    """The parts of the diffusion model `module` that `structure` gives to the host. One call at a time."""

    def __init__(self, module, unet, structure: Structure, places: dict):
        """`places`: where to book what runs, kept by the caller: address -> Place."""
        self._module = module
        self._places = places
        self._options, self._arguments = {}, {}
        self._blocks = unet.blocks()
        self._sites = {}  # part -> (block, number, transformer index, block index, address)
        for block in self._blocks:
            for layer in block["layers"]:
                self._note_sites(block, layer)
        self.all_reason = structure.all_reason

    def _note_sites(self, block: dict, layer: dict):
        where = (block["kind"], block["number"])
        self._sites[layer["key"]] = (where, layer["transformer_index"], None, layer["address"])
        for number in layer["transformer_blocks"]:
            name, address = f"{layer['key']}.transformer_blocks.{number}", f"{layer['address']}.{number}"
            for unit in ("", ".attn1", ".attn2", ".ff"):
                self._sites[name + unit] = (where, layer["transformer_index"], number, address + unit)

    def native(self, unet, structure: Structure):
        """What the engine calls. It holds this object, which must not hold it in turn: Python's collector cannot look
        into it, so that the diffusion model would stay in memory for good."""
        names = unet.leaves()
        leaves = {} if structure.all_reason else {
            index: self._leaf(structure.leaves[index], names[index][0], reason)
            for index, reason in structure.host_leaves.items()}
        parts = {}
        for name, module in structure.parts.items():
            is_layer = "transformer_blocks" not in name
            runs = is_layer if structure.all_reason else name in structure.host_parts
            parts[name] = (self._part(name, module, structure.host_parts.get(name, "")), runs)
        injected = [(block, position, self._injected(block, module)) for block, position, module in structure.injected]
        return native.native_module().HostModules(
            unet=unet, leaves=leaves, parts=parts, injected=injected, code=self,
            runs_all=bool(structure.all_reason),
            sees_batch=bool(structure.all_reason or structure.host_parts or structure.injected))

    def begin(self, transformer_options: dict, arguments: dict):
        """A call begins. `arguments`: those of the UNet's forward that the engine does not read."""
        self._options = transformer_options
        self._arguments = {name: arguments.get(name) for name in VIDEO_ARGUMENTS}
        if self._arguments["num_video_frames"] is None:
            self._arguments["num_video_frames"] = getattr(self._module, "default_num_video_frames", None)

    def _place(self, address: str, reason: str) -> Place:
        if self.all_reason:
            address, reason = "all layers", self.all_reason
        return self._places.setdefault(address, Place(address, reason))

    def _timed(self, place: Place, x, work):
        started = time_stamp(x.device)
        result = work()
        place.calls += 1
        place.spans.append(Span(started, time_stamp(x.device)))
        return result

    def _leaf(self, module, name: str, reason: str):
        key = next((key for key in self._sites if name == key or name.startswith(f"{key}.")), "")
        address = self._sites[key][3] + name.removeprefix(key) if key else name
        place = self._place(address, reason)

        def run(x):
            return self._timed(place, x, lambda: module(x))
        return run

    def _part(self, name: str, module, reason: str):
        where, transformer_index, block_index, address = self._sites[name]
        place = self._place(address, reason) if reason or self.all_reason else None
        call = self._call_of(name)

        def run(x, emb, context, output_shape):
            self._options["block"] = where
            self._options["transformer_index"] = transformer_index
            if block_index is not None:
                self._options["block_index"] = block_index
            booked = place or self._place(address, "a unit inside is the host's, and hooks want to see it")
            return self._timed(booked, x, lambda: call(module, x, emb, context, output_shape))
        return run

    def _call_of(self, name: str):
        """How the host calls the part `name`."""
        unit = name.rpartition(".")[2]
        if unit in ("attn1", "attn2"):
            return lambda module, x, emb, context, _: module(x, context=context, value=None,
                                                             transformer_options=self._options)
        if unit == "ff":
            return lambda module, x, *_: module(x)
        if "transformer_blocks" in name:
            return lambda module, x, emb, context, _: module(x, context=context, transformer_options=self._options)
        return self._layer

    def _layer(self, module, x, emb, context, output_shape):
        return openaimodel.forward_timestep_embed([module], x, emb, context, self._options,
                                                  torch.Size(output_shape) if output_shape else None, **self._arguments)

    def _injected(self, block: int, module):
        found = self._blocks[block]
        where, address = (found["kind"], found["number"]), found["layers"][0]["address"].rpartition(".")[0]
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        place = self._place(f"{address} (put into it)", f"it is a {kind}")

        def run(x, emb, context, output_shape):
            self._options["block"] = where
            return self._timed(place, x, lambda: self._layer(module, x, emb, context, output_shape))
        return run

    def enter_transformer(self, shape: list):
        self._options["activations_shape"] = shape

    def embedding(self, x, timesteps, y):
        """[batch, 4 * model_channels], as the host's forward makes it."""
        module, options = self._module, self._options
        features = openaimodel.timestep_embedding(timesteps, module.model_channels, repeat_only=False).to(x.dtype)
        emb = module.time_embed(features)
        for patch in options.get("patches", {}).get("emb_patch", ()):
            emb = patch(emb, module.model_channels, options)
        return emb if y is None else emb + module.label_emb(y)

    def head(self, h):
        """The prediction, as the host's forward makes it of the last block's value."""
        return self._module.out(h)
