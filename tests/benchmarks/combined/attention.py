"""What works on attention and on what lies between layers."""

import torch

from .sampling import SIZE, Combination, Sampling, extra, on_model, sd15

BLOCKS = [("input", number) for number in (1, 2, 4, 5, 7, 8)] + [("middle", 0)] + [
    ("output", number) for number in range(3, 12)]


def _attention(q, k, v, heads):
    from comfy.ldm.modules.attention import optimized_attention
    return optimized_attention(q, k, v, heads)


class PictureTokens:
    """As IPAdapter packs: beside the attention to the prompt one to tokens of a picture, added to it."""

    def __init__(self, number: int, weight: float):
        generator = torch.Generator().manual_seed(100 + number)
        self._tokens = torch.randn(1, 4, 768, generator=generator)
        self._projections, self._generator, self._weight = None, generator, weight

    def __deepcopy__(self, memo):
        return self

    def __call__(self, q, k, v, extra_options):
        out = _attention(q, k, v, extra_options["n_heads"])
        if self._projections is None:
            width = q.shape[-1]
            self._projections = [torch.randn(768, width, generator=self._generator) * 768 ** -0.5 for _ in range(2)]
        batch, conds = q.shape[0], extra_options["cond_or_uncond"]
        rows = torch.tensor([1.0 - cond for cond in conds]).repeat_interleave(batch // len(conds))
        keys, values = ((self._tokens @ projection).repeat(batch, 1, 1) for projection in self._projections)
        added = _attention(q, keys, values, extra_options["n_heads"])
        return out + added * (rows * self._weight)[:, None, None]


def ip_adapter(sampling: Sampling):
    changed = sampling.model.clone()
    for number, block in enumerate(BLOCKS):
        changed.set_model_attn2_replace(PictureTokens(number, 0.9), *block)
    sampling.model = changed


def ip_adapter_of_some_blocks(sampling: Sampling):
    """As style and composition transfer do it: on single blocks, by the number of the transformer too."""
    changed = sampling.model.clone()
    changed.set_model_attn2_replace(PictureTokens(3, 1.2), "input", 7, 0)
    changed.set_model_attn2_replace(PictureTokens(4, 0.8), "output", 5)
    sampling.model = changed


def attention_couple(sampling: Sampling):
    """As packs for regional prompts: attn2 sees a prompt for each half of the picture, and its outputs are joined."""
    prompts = [prompt[0][0] for prompt in (sampling.cond(4), sampling.cond(5))]

    def ask(q, k, v, options):
        conds, rows = options["cond_or_uncond"], q.shape[0] // len(options["cond_or_uncond"])
        queries, contexts = [], []
        for number, cond in enumerate(conds):
            own = slice(number * rows, (number + 1) * rows)
            for prompt in prompts if cond == 0 else [k[own][:1]]:
                queries.append(q[own])
                contexts.append(prompt.to(k).repeat(rows, 1, 1))
        return torch.cat(queries), torch.cat(contexts), torch.cat(contexts)

    def put_together(out, options):
        conds = options["cond_or_uncond"]
        rows = out.shape[0] // sum(len(prompts) if cond == 0 else 1 for cond in conds)
        height, width = options["activations_shape"][-2:]
        left = (torch.arange(width) < width // 2).repeat(height)[None, :, None].to(out)
        parts, at = [], 0
        for cond in conds:
            if cond == 0:
                parts.append(out[at:at + rows] * left + out[at + rows:at + 2 * rows] * (1.0 - left))
                at += 2 * rows
            else:
                parts.append(out[at:at + rows])
                at += rows
        return torch.cat(parts)

    changed = sampling.model.clone()
    changed.set_model_attn2_patch(ask)
    changed.set_model_attn2_output_patch(put_together)
    sampling.model = changed


def normalised_guidance(sampling: Sampling):
    """As packs for NAG: attn2 attends to a negative prompt too, and goes away from it within a norm."""
    negative = sampling.cond(6)[0][0]
    scale, most, share = 4.0, 2.5, 0.4

    class Guided:
        def __init__(self, unit):
            self._unit = unit

        def __deepcopy__(self, memo):
            return self

        def __call__(self, q, k, v, options):
            heads = options["n_heads"]
            out = _attention(q, k, v, heads)
            context = negative.to(q).repeat(q.shape[0], 1, 1)
            away = _attention(q, self._unit.to_k(context), self._unit.to_v(context), heads)
            guided = out * scale - away * (scale - 1)
            ratio = guided.norm(p=1, dim=-1, keepdim=True) / out.norm(p=1, dim=-1, keepdim=True)
            guided = guided * torch.where(ratio > most, most / ratio, torch.ones_like(ratio))
            return guided * share + out * (1 - share)

    changed = sampling.model.clone()
    unet = changed.model.diffusion_model
    for kind, number in (("input", 1), ("input", 4), ("output", 8), ("output", 11)):
        block = getattr(unet, f"{kind}_blocks")[number]
        changed.set_model_attn2_replace(Guided(block[1].transformer_blocks[0].attn2), kind, number)
    sampling.model = changed


def shared_attention(sampling: Sampling):
    """As StyleAligned and reference packs: every picture of a batch looks at the first one too."""
    def share(q, k, v, options):
        rows = k.shape[0] // len(options["cond_or_uncond"])

        def with_first(tensor):
            firsts = torch.cat([part[:1].repeat(rows, 1, 1) for part in tensor.split(rows)])
            return torch.cat((tensor, firsts), dim=1)
        v = k if v is None else v
        return q, with_first(k), with_first(v)
    sampling.model = sampling.model.clone()
    sampling.model.set_model_attn1_patch(share)


def two_pictures(pack) -> Sampling:
    return sd15(pack, latent={"samples": torch.zeros(2, 4, SIZE, SIZE)})


def other_attention(sampling: Sampling):
    """As packs for SageAttention: another function attends, on keys and queries in 8 bits."""
    def rounded(tensor):
        scale = tensor.abs().amax(dim=-1, keepdim=True) / 127
        return (tensor / scale).round() * scale

    def override(function, q, k, v, heads, **named):
        return function(rounded(q), rounded(k), v, heads, **named)
    sampling.model = sampling.model.clone()
    sampling.model.model_options["transformer_options"]["optimized_attention_override"] = override


def embedding_patch(sampling: Sampling):
    """As packs that add what they know to the time embedding."""
    sampling.model = sampling.model.clone()
    sampling.model.set_model_patch(lambda emb, channels, options: emb + 0.02 * channels ** 0.5, "emb_patch")


def latent_keyed_blocks(sampling: Sampling):
    """As packs for DemoFusion-like upscaling: patches in front of and behind the skip of input blocks."""
    sampling.model = sampling.model.clone()
    sampling.model.set_model_input_block_patch(lambda h, options: h * (1.1 if options["block"][1] < 4 else 1.0))
    sampling.model.set_model_input_block_patch_after_skip(lambda h, options: h * 0.95)


COMBINATIONS = [
    Combination("FreeU", "FreeU", on_model(extra("nodes_freelunch", "FreeU"), 1.3, 1.4, 0.9, 0.2)),
    Combination("FreeU V2", "FreeU_V2", on_model(extra("nodes_freelunch", "FreeU_V2"), 1.3, 1.4, 0.9, 0.2)),
    # Tiles of 4, the smallest: 4 x 4 of them in a latent of 16.
    Combination("HyperTile", "HyperTile", on_model(extra("nodes_hypertile", "HyperTile"), 32, 2, 1, False)),
    Combination("Token merging", "TomePatchModel", on_model(extra("nodes_tomesd", "TomePatchModel"), 0.4)),
    Combination("Deep shrink (Kohya)", "PatchModelAddDownscale",
                on_model(extra("nodes_model_downscale", "PatchModelAddDownscale"), 3, 2.0, 0.0, 0.35, True, "bicubic",
                         "bicubic")),
    Combination("Deep shrink in front of the skip", "PatchModelAddDownscale",
                on_model(extra("nodes_model_downscale", "PatchModelAddDownscale"), 4, 1.5, 0.0, 0.6, False, "bislerp",
                         "area")),
    Combination("IPAdapter", "as packs do it: attn2 of all blocks replaced", ip_adapter),
    Combination("IPAdapter on single blocks", "as packs do it: attn2 of two blocks replaced",
                ip_adapter_of_some_blocks),
    Combination("Attention couple", "as packs do it: patches of attn2 that widen the batch", attention_couple),
    Combination("NAG", "as packs do it: attn2 of four blocks replaced", normalised_guidance),
    Combination("Shared attention (StyleAligned)", "as packs do it: patch of attn1", shared_attention,
                base=two_pictures),
    Combination("Another attention function (SageAttention)", "as packs do it: attention override", other_attention),
    Combination("Patch of the time embedding", "as packs do it: emb_patch", embedding_patch),
    Combination("Patches of input blocks", "as packs do it: input_block_patch, with and without the skip",
                latent_keyed_blocks),
]
