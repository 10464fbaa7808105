"""The host's hooks inside a UNet, offered to the native engine one by one, in the host's order and with its arguments.

Only calls that carry hooks come here; a plain call asks for nothing but `poll`, and the host's attention where the user
chose one.
"""

import comfy.model_management
from comfy.ldm.modules import attention

from .host_code import vocabulary
from .host_modules import VIDEO_ARGUMENTS

BLOCK_PATCHES = ("emb_patch", "input_block_patch", "input_block_patch_after_skip", "output_block_patch",
                 "middle_block_after_patch")
TRANSFORMER_PATCHES = (
    "attn1_patch", "attn1_output_patch", "middle_patch", "attn2_patch", "attn2_output_patch",
)
KNOWN_PATCHES = frozenset(BLOCK_PATCHES + TRANSFORMER_PATCHES)
KNOWN_REPLACEMENTS = frozenset(("attn1", "attn2"))
# Attention of the host's that computes what the engine's does, on any device or on some.
_EXACT_ANYWHERE = frozenset(("attention_basic", "attention_sub_quad", "attention_split", "attention_pytorch"))
_EXACT = _EXACT_ANYWHERE | {"attention_xformers"}
# What the engine reads or sets in transformer options as the host does.
_KNOWN_OPTIONS = frozenset((
    "patches", "patches_replace", "wrappers", "callbacks", "block", "block_index", "transformer_index",
    "original_shape", "activations_shape", "optimized_attention_override", "cond_or_uncond", "uuids", "sigmas",
    "sample_sigmas", "n_heads", "dim_head", "attn_precision",
))


def unread_by_engine(transformer_options: dict, named: dict, arguments: tuple) -> tuple[str, str, str]:
    """What a call carries that the engine does not read, by who in the host's code would: (the forward of the UNet,
    what calls the layers, transformers). Empty where there is nothing; what none of them looks for serves others."""
    words = vocabulary()
    patches = {name for name, found in transformer_options.get("patches", {}).items() if found} - KNOWN_PATCHES
    replacements = {name for name, found in transformer_options.get("patches_replace", {}).items() if found}
    options = transformer_options.keys() - _KNOWN_OPTIONS
    extra = {name for name, value in named.items() if value is not None} - set(VIDEO_ARGUMENTS)
    unread = {name: f"patch '{name}'" for name in patches}
    unread |= {name: f"replacement '{name}'" for name in replacements - KNOWN_REPLACEMENTS}
    unread |= {name: f"option '{name}'" for name in options}
    walk = [unread[name] for name in sorted(unread.keys() & words.walk)]
    walk += [f"argument {name}" for name in sorted(extra & words.walk)] + ["an argument more"] * bool(arguments)
    layers = [unread[name] for name in sorted(unread.keys() & words.layer_call)]
    transformers = [unread[name] for name in sorted(unread.keys() & words.transformers)]
    return ", ".join(walk), ", ".join(layers), ", ".join(transformers)


def _attention_name() -> str:
    return getattr(attention.optimized_attention, "__name__", "")


def chosen_attention() -> str | None:
    """The attention of the host's that the user chose and that computes something else than the engine's exact one:
    SageAttention, FlashAttention, one in 8 bits. None where it computes the same."""
    name = _attention_name()
    return None if name in _EXACT else name


def options_for_cpu() -> dict:
    """Transformer options with which the host attends on a CPU, where it was started with an attention that may need
    another device."""
    if _attention_name() in _EXACT_ANYWHERE:
        return {}
    return {"optimized_attention_override": lambda _, *args, **named: attention.attention_pytorch(*args, **named)}


def attention_precision(module):
    """What the host asks of the attention of a diffusion model; None where it leaves it open."""
    return next((part.attn_precision for part in module.modules() if hasattr(part, "attn_precision")), None)


class HostHooks:
    """Hooks of one call. The names and arguments of the methods are those of native/unet/hooks.h."""

    def __init__(self, transformer_options: dict, model_channels: int, attn_precision, inputs: dict | None = None):
        """`inputs`: the tensors of the call by name, for hooks that want to see them."""
        self._inputs = inputs or {}
        self._options = transformer_options
        self._patches = transformer_options.get("patches", {})
        self._replace = transformer_options.get("patches_replace", {})
        self._model_channels = model_channels
        self._attn_precision = attn_precision
        self._extra = {}
        overrides = "optimized_attention_override" in transformer_options
        self.overrides_attention = overrides or chosen_attention() is not None
        self.hooks_embedding = bool(self._patches.get("emb_patch"))
        self.hooks_input_blocks = any(self._patches.get(name) for name in
                                      ("input_block_patch", "input_block_patch_after_skip"))
        self.hooks_output_blocks = bool(self._patches.get("output_block_patch"))
        # Older hosts have no such place, and so must the engine.
        self.hooks_middle_block = ("middle_block_after_patch" in vocabulary().walk
                                   and bool(self._patches.get("middle_block_after_patch")))
        self.hooks_transformers = (overrides
                                   or any(self._patches.get(name) for name in TRANSFORMER_PATCHES)
                                   or any(self._replace.get(name) for name in KNOWN_REPLACEMENTS))
        self.follows_blocks = (self.hooks_embedding or self.hooks_input_blocks or self.hooks_output_blocks
                               or self.hooks_middle_block or self.hooks_transformers)

    def poll(self):
        """Raises the host's interrupt. The host clears its flag by raising, so the exception must be let through."""
        comfy.model_management.throw_exception_if_processing_interrupted()

    def enter_block(self, kind: str, number: int):
        self._options["block"] = (kind, number)

    def embedding(self, emb):
        for patch in self._patches.get("emb_patch", ()):
            emb = patch(emb, self._model_channels, self._options)
        return emb

    def input_block(self, h):
        for patch in self._patches.get("input_block_patch", ()):
            h = patch(h, self._options)
        return h

    def input_block_after_skip(self, h):
        for patch in self._patches.get("input_block_patch_after_skip", ()):
            h = patch(h, self._options)
        return h

    def middle_block(self, h, emb):
        given = {**self._inputs, "y": self._inputs.get("y"), "emb": emb, "transformer_options": self._options}
        for patch in self._patches.get("middle_block_after_patch", ()):
            h = patch({**given, "h": h})["h"]
        return h

    def output_block(self, h, skip):
        for patch in self._patches.get("output_block_patch", ()):
            h, skip = patch(h, skip, self._options)
        return h, skip

    def enter_transformer(self, transformer_index: int, shape: list[int]):
        self._options["transformer_index"] = transformer_index
        self._options["activations_shape"] = shape

    def enter_transformer_block(self, block_index: int, heads: int, dim_head: int):
        self._options["block_index"] = block_index
        self._extra = {name: value for name, value in self._options.items()
                       if name not in ("patches", "patches_replace")}
        self._extra.update(n_heads=heads, dim_head=dim_head, attn_precision=self._attn_precision)

    def attention_inputs(self, unit: str, query, context, value):
        for patch in self._patches.get(f"{unit}_patch", ()):
            query, context, value = patch(query, context, value, self._extra)
        context = query if context is None else context
        return query, context, context if value is None else value

    def replace_attention(self, unit: str, q, k, v):
        replacements = self._replace.get(unit)
        if not replacements:
            return None
        block = self._options["block"]
        replacement = replacements.get((*block, self._options["block_index"]), replacements.get(block))
        return None if replacement is None else replacement(q, k, v, self._extra)

    def override_attention(self, q, k, v, heads: int):
        return attention.optimized_attention(q, k, v, heads, attn_precision=self._attn_precision,
                                             transformer_options=self._options)

    def attention_output(self, unit: str, output):
        for patch in self._patches.get(f"{unit}_output_patch", ()):
            output = patch(output, self._extra)
        return output

    def between_attentions(self, x):
        for patch in self._patches.get("middle_patch", ()):
            x = patch(x, self._extra)
        return x
