"""Every CrossAttention asks a child for its attention function, which the checkpoint may bring."""

import torch
from comfy.ldm.modules import attention


class Attention(torch.nn.Module):
    """A child with a function of its own."""

    def __init__(self):
        super().__init__()
        self.function = lambda q, k, v, heads, **more: 0.7 * attention.optimized_attention(q, k, v, heads)


def forward(self, x, context=None, value=None, mask=None, transformer_options=None):
    context = x if context is None else context
    q, k, v = self.to_q(x), self.to_k(context), self.to_v(context if value is None else value)
    child = getattr(self, "asked_attention", None)
    function = attention.optimized_attention if child is None else child.function
    return self.to_out(function(q, k, v, self.heads, transformer_options=transformer_options))


attention.CrossAttention.forward = forward

ALONE = True  # it changes the host for all models of the process


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        changed = model.clone()
        for part in changed.model.diffusion_model.modules():
            if isinstance(part, attention.CrossAttention):
                part.asked_attention = Attention()
        return (changed,)


NODE_CLASS_MAPPINGS = {"HostToCome_attention_function": Change}
