"""A UNet that lacks parts of a full one, or has ME-CondConv: the host's own modules under the names and numbers of the
full UNet, and a forward over them in Python, which the engine falls back to and is held against."""

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules import openaimodel
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from .. import native
from .experts_res_block import add_experts

# Under this name the UNetSpec lies among the weights, as the bytes of its JSON: the host saves and merges buffers, but
# chooses the metadata of the files that it writes.
SPEC_BUFFER = "asdm_unet_spec"
_MIDDLE_PATCH = "middle_block_after_patch"


class RemovedTransformerBlock(torch.nn.Module):
    """Holds the place of a transformer block, so that the others keep their numbers."""

    def forward(self, x, context=None, transformer_options=None):
        return x


class SpecBuffer(torch.nn.Module):
    """Carries the UNetSpec. A leaf of its own, since the host skips modules that have both tensors and children."""

    def __init__(self, spec):
        super().__init__()
        self.register_buffer("json", torch.tensor(list(spec.json().encode()), dtype=torch.uint8))


class AssembledUNet(UNetModel):
    """Made as the host makes the full UNet; then what `spec` says is removed, and ResBlocks get the experts it
    says. Its blocks lie in ModuleDicts, by their numbers in the full UNet."""

    def __init__(self, spec, **config):
        super().__init__(**config)
        self.asdm_unet_spec = SpecBuffer(spec)
        self._blocks = native.native_module().UNet(spec).blocks()
        kept = {kind: torch.nn.ModuleDict() for kind in ("input", "output")}
        full = {"input": self.input_blocks, "output": self.output_blocks, "middle": [self.middle_block]}
        self.middle_block = None
        for block in self._blocks:
            module = full[block["kind"]][block["number"]]
            _keep_layers(module, block["layers"])
            if block["kind"] == "middle":
                self.middle_block = module
            else:
                kept[block["kind"]][str(block["number"])] = module
        self.input_blocks = kept["input"]
        self.output_blocks = kept["output"]
        add_experts(self, spec, config["operations"])

    @property
    def spec(self):
        """Its UNetSpec, as the host last loaded it."""
        return native.native_module().UNetSpec.from_json(bytes(self.asdm_unet_spec.json.cpu().tolist()).decode())

    def _forward(self, x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **kwargs):
        """As the host's forward of the full UNet, with its hooks, in its numbers; shapes as there."""
        options = {} if transformer_options is None else transformer_options
        options["original_shape"] = list(x.shape)
        patches = options.get("patches", {})
        residuals = {name: list(control.get(name) or ()) for name in ("input", "middle", "output")} if control else {}
        emb = self._embedding(x, timesteps, y, patches, options)
        skips = {}
        h = x
        for index, block in enumerate(self._blocks):
            kind, number = block["kind"], block["number"]
            options["block"] = (kind, number)
            shape = None
            if kind == "output":
                skip = _controlled(skips.pop(block["skip"]), residuals, kind, number)
                for patch in patches.get("output_block_patch", ()):
                    h, skip = patch(h, skip, options)
                if skip is not None:  # else a patch joined the two itself
                    h = torch.cat([h, skip], dim=1)
                following = self._blocks[index + 1:index + 2]
                shape = skips[following[0]["skip"]].shape if following else None
            h = self._run(block, h, emb, context, options, shape, kwargs)
            if kind == "middle":
                h = _controlled(h, residuals, kind, 0)
                h = self._patched_middle(h, emb, patches, options, x, timesteps, context, y)
            elif kind == "input":
                h = _controlled(h, residuals, kind, number)
                for patch in patches.get("input_block_patch", ()):
                    h = patch(h, options)
                skips[number] = h
                for patch in patches.get("input_block_patch_after_skip", ()):
                    h = patch(h, options)
        return self.out(h.type(x.dtype))

    @staticmethod
    def _patched_middle(h, emb, patches: dict, options: dict, x, timesteps, context, y):
        """`h` behind the middle block, through patches that newer hosts have a place for there."""
        if _MIDDLE_PATCH not in openaimodel.UNetModel._forward.__code__.co_consts:
            return h
        given = {"x": x, "emb": emb, "context": context, "y": y, "timesteps": timesteps, "transformer_options": options}
        for patch in patches.get(_MIDDLE_PATCH, ()):
            h = patch({**given, "h": h})["h"]
        return h

    def _embedding(self, x, timesteps, y, patches, options):
        """[batch, 4 * model_channels]"""
        features = openaimodel.timestep_embedding(timesteps, self.model_channels, repeat_only=False).to(x.dtype)
        emb = self.time_embed(features)
        for patch in patches.get("emb_patch", ()):
            emb = patch(emb, self.model_channels, options)
        return emb if y is None else emb + self.label_emb(y)

    def _run(self, block, h, emb, context, options, shape, kwargs):
        """The layers of `block`; the transformers get the ordinals that they have in the full UNet."""
        for layer in block["layers"]:
            options["transformer_index"] = layer["transformer_index"]
            h = openaimodel.forward_timestep_embed(
                [self.get_submodule(layer["key"])], h, emb, context, options, shape,
                time_context=kwargs.get("time_context"), num_video_frames=kwargs.get("num_video_frames"),
                image_only_indicator=kwargs.get("image_only_indicator"))
        return h


def _keep_layers(module, layers: list):
    """Drops what is not in `layers` from the block `module`."""
    kept = {layer["key"].rpartition(".")[2]: layer for layer in layers}
    for name in list(module._modules):
        if name not in kept:
            del module._modules[name]
        elif isinstance(module._modules[name], SpatialTransformer):
            blocks = module._modules[name].transformer_blocks
            for number in set(range(len(blocks))) - set(kept[name]["transformer_blocks"]):
                blocks[number] = RemovedTransformerBlock()


def _controlled(h, residuals: dict, kind: str, number: int):
    """`h` with the residual for block `number` of the full UNet: lists are taken from their end."""
    found = residuals.get(kind, ())
    residual = found[-1 - number] if number < len(found) else None
    if residual is None:
        return h
    return openaimodel.apply_control(h.clone(), {kind: [residual]}, kind)
