"""What stands around the calls of the UNet: tiles, windows, caches, compilers, injected modules."""

import importlib.util

import torch
from support import hosted

from .sampling import SIZE, Combination, Sampling, extra, on_model, sd15

INJECTED = hosted.ROOT / "tests" / "host" / "hosts_to_come" / "injected_layers.py"


def _with_model_wrapper(sampling: Sampling, wrapper):
    """`wrapper(apply_model, x, timestep, c, cond_or_uncond)` between the host and its model."""
    sampling.model = sampling.model.clone()
    sampling.model.set_model_unet_function_wrapper(lambda apply_model, given: wrapper(
        apply_model, given["input"], given["timestep"], given["c"], given["cond_or_uncond"]))


def tiled_diffusion(sampling: Sampling):
    """As MultiDiffusion and tiled diffusion packs: overlapping windows of the latent, averaged."""
    side, stride = 12, 4

    def wrapper(apply_model, x, timestep, c, _):
        total, weight = torch.zeros_like(x), torch.zeros_like(x)
        for top in range(0, x.shape[-2] - side + 1, stride):
            for left in range(0, x.shape[-1] - side + 1, stride):
                window = (..., slice(top, top + side), slice(left, left + side))
                total[window] += apply_model(x[window], timestep, **c)
                weight[window] += 1.0
        return total / weight
    _with_model_wrapper(sampling, wrapper)


def moving_tiles(sampling: Sampling):
    """As packs whose tiles move from step to step, so that no seam stays."""
    made, half = [], SIZE // 2

    def wrapper(apply_model, x, timestep, c, _):
        shift = 3 * len(made)
        made.append(shift)
        parts = [part for row in x.roll((-shift, -shift), (2, 3)).split(half, 2) for part in row.split(half, 3)]
        found = [apply_model(part, timestep, **c) for part in parts]
        rows = [torch.cat(found[:2], 3), torch.cat(found[2:], 3)]
        return torch.cat(rows, 2).roll((shift, shift), (2, 3))
    _with_model_wrapper(sampling, wrapper)


def light_condition(sampling: Sampling):
    """As IC-Light: a patch makes the first convolution take four channels more, which come with each call."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(32, 8, 3, 3, generator=generator) * 0.1
    extra_channels = torch.randn(1, 4, SIZE, SIZE, generator=generator)
    sampling.model = sampling.model.clone()
    sampling.model.add_patches(
        {"diffusion_model.input_blocks.0.0.weight": ("diff", (weight, {"pad_weight": True}))}, 1.0)
    _with_model_wrapper(sampling, lambda apply_model, x, timestep, c, _: apply_model(
        x, timestep, **c | {"c_concat": extra_channels.repeat(x.shape[0], 1, 1, 1)}))


def prompt_by_step(sampling: Sampling):
    """As ELLA: the text features that the UNet sees depend on the noise level."""
    other = sampling.cond(4)[0][0]

    def wrapper(apply_model, x, timestep, c, _):
        share = (timestep.flatten()[0] / 15.0).clamp(0.0, 1.0)
        context = c["c_crossattn"] * (1.0 - share) + other.to(x) * share
        return apply_model(x, timestep, **c | {"c_crossattn": context})
    _with_model_wrapper(sampling, wrapper)


def reference(sampling: Sampling):
    """As reference-only packs: a call on the reference fills a bank, out of which attn1 reads in the next."""
    bank, state = {}, {"writing": False}
    shown = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(41))

    def read_or_write(q, k, v, options):
        place = (*options["block"], options["block_index"])
        v = k if v is None else v
        if state["writing"]:
            bank[place] = k[:1].clone()
            return q, k, v
        kept = bank[place].repeat(k.shape[0], 1, 1)
        return q, torch.cat((k, kept), 1), torch.cat((v, kept), 1)

    def wrapper(apply_model, x, timestep, c, _):
        state["writing"] = True
        apply_model(shown.repeat(x.shape[0], 1, 1, 1) + x * 0.5, timestep, **c)
        state["writing"] = False
        return apply_model(x, timestep, **c)
    _with_model_wrapper(sampling, wrapper)
    sampling.model.set_model_attn1_patch(read_or_write)


def deep_cache(sampling: Sampling):
    """As DeepCache packs: a forward in the place of the UNet's keeps what a deep block gave for the next step."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import forward_timestep_embed, timestep_embedding
    sampling.model = sampling.model.clone()
    unet, kept = sampling.model.model.diffusion_model, {}
    depth, count = 3, len(unet.output_blocks)

    def forward(x, timesteps=None, context=None, y=None, control=None, transformer_options=None, **_):
        options = {**(transformer_options or {}), "original_shape": list(x.shape)}
        emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels).to(x))
        number, skips, h = kept.setdefault("calls", 0), [], x
        kept["calls"] += 1
        fresh = number % 2 == 0
        inputs = list(unet.input_blocks)
        for block in inputs if fresh else inputs[:depth]:
            h = forward_timestep_embed(block, h, emb, context, options)
            skips.append(h)
        if fresh:
            h = forward_timestep_embed(unet.middle_block, h, emb, context, options)
        for at in range(0 if fresh else count - depth, count):
            if at == count - depth:
                h = kept["h"] = h if fresh else kept["h"]
            skip = skips.pop()
            size = skips[-1].shape if skips else None
            h = forward_timestep_embed(unet.output_blocks[at], torch.cat((h, skip), 1), emb, context, options, size)
        return unet.out(h)
    sampling.model.add_object_patch("diffusion_model.forward", forward)


def compiled(sampling: Sampling):
    """What TorchCompileModel does with its backend, by the one that compiles in seconds."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    sampling.model = sampling.model.clone()
    set_torch_compile_wrapper(model=sampling.model, backend="eager")


def compiled_frames(sampling: Sampling, work):
    from torch._dynamo.utils import counters
    before = counters["frames"]["ok"]
    return work(), counters["frames"]["ok"] - before


def motion_modules(sampling: Sampling):
    from comfy.patcher_extension import PatcherInjection
    spec = importlib.util.spec_from_file_location("injected_layers", INJECTED)
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    sampling.model = sampling.model.clone()
    sampling.model.set_injections("motion", [PatcherInjection(pack.inject, pack.eject)])


def four_frames(pack) -> Sampling:
    return sd15(pack, latent={"samples": torch.zeros(4, 4, SIZE, SIZE)})


def _of(module: str, name: str, *inputs) -> dict:
    return {"by": name, "change": on_model(extra(module, name), *inputs)}


def longer(pack) -> Sampling:
    """A run long enough that caches find steps which are alike."""
    return sd15(pack, steps=12)


COMBINATIONS = [
    Combination("Tiled diffusion (MultiDiffusion)", "as packs do it: model wrapper, overlapping tiles",
                tiled_diffusion),
    Combination("Tiles that move", "as packs do it: model wrapper", moving_tiles),
    Combination("Context windows", **_of("nodes_context_windows", "ContextWindowsManualNode", 10, 4, "standard_static",
                                         1, False, "pyramid", 3)),
    Combination("IC-Light", "as packs do it: wider first convolution, model wrapper", light_condition),
    Combination("Prompt by step (ELLA)", "as packs do it: model wrapper", prompt_by_step),
    Combination("Reference only", "as packs do it: a second call that fills a bank for attn1", reference),
    Combination("Motion modules (AnimateDiff)", "as packs do it: modules injected into blocks", motion_modules,
                base=four_frames),
    Combination("EasyCache", **_of("nodes_easycache", "EasyCacheNode", 0.5, 0.1, 0.95, False), base=longer),
    Combination("LazyCache", **_of("nodes_easycache", "LazyCacheNode", 0.5, 0.1, 0.95, False), base=longer),
    Combination("DeepCache", "as packs do it: forward of the UNet replaced", deep_cache),
    Combination("torch.compile", "as TorchCompileModel does it, backend eager", compiled,
                shown_by=("frames that torch compiled", compiled_frames)),
]
