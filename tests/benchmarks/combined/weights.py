"""What changes weights: adapters of all kinds, hooks, merges, and files."""

import torch
from support.features import lora_of
from support.hosted import ROOT

from .sampling import Combination, Sampling, core, extra, node, on_model, sd15, stored

RANK = 4


def _leaves(sampling: Sampling, ending: tuple[str, ...]):
    """(name as adapters have it, weight) of the UNet's leaves whose names end so."""
    for name, weight in sampling.model.model.diffusion_model.named_parameters():
        if name.endswith(tuple(f"{one}.weight" for one in ending)):
            yield f"diffusion_model.{name.removesuffix('.weight')}", weight


def _random(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape, scale=1.0: torch.randn(*shape, generator=generator) * scale


def lora(sampling: Sampling) -> dict:
    return lora_of(sampling.model)


def dora(sampling: Sampling) -> dict:
    tensors = lora_of(sampling.model)
    for name, weight in dict(sampling.model.model.diffusion_model.named_parameters()).items():
        key = f"diffusion_model.{name.removesuffix('.weight')}"
        if f"{key}.lora_up.weight" in tensors:
            norms = weight.reshape(weight.shape[0], -1).norm(dim=1)
            tensors[f"{key}.dora_scale"] = (norms * 1.1).reshape(-1, *[1] * (weight.dim() - 1))
    return tensors


def loha(sampling: Sampling) -> dict:
    tensors, random = {}, _random(6)
    for name, weight in _leaves(sampling, ("attn1.to_v", "attn2.to_q", "ff.net.2")):
        out, width = weight.shape
        for part in ("w1", "w2"):
            tensors[f"{name}.hada_{part}_a"] = random(out, RANK, scale=0.2)
            tensors[f"{name}.hada_{part}_b"] = random(RANK, width, scale=0.2)
    return tensors


def lokr(sampling: Sampling) -> dict:
    tensors, random = {}, _random(7)
    for name, weight in _leaves(sampling, ("attn1.to_v", "attn2.to_k", "ff.net.2")):
        out, width = weight.shape
        tensors[f"{name}.lokr_w1"] = random(4, 4, scale=0.2)
        tensors[f"{name}.lokr_w2"] = random(out // 4, width // 4, scale=0.1)
    return tensors


def oft(sampling: Sampling) -> dict:
    tensors, random = {}, _random(8)
    for name, weight in _leaves(sampling, ("attn1.to_v", "attn2.to_q")):
        blocks = random(4, weight.shape[0] // 4, weight.shape[0] // 4, scale=0.1)
        tensors[f"{name}.oft_blocks"] = blocks - blocks.transpose(1, 2)
    return tensors


def differences(sampling: Sampling) -> dict:
    random = _random(9)
    return {f"{name}.diff": random(*weight.shape, scale=0.05)
            for name, weight in _leaves(sampling, ("attn2.to_out.0", "in_layers.2"))}


def _loaded(make) -> callable:
    """What LoraLoaderModelOnly makes of a file with these tensors."""
    def change(sampling: Sampling):
        from safetensors.torch import save_file
        tensors = {name: tensor.contiguous() for name, tensor in make(sampling).items()}
        name = stored("loras", f"{make.__name__}.safetensors", lambda path: save_file(tensors, path))
        sampling.model = node(core("LoraLoaderModelOnly")(), sampling.model, name, 0.8)[0]
    change.__name__ = make.__name__
    return change


def two_loras(sampling: Sampling):
    _loaded(lora)(sampling)
    _loaded(lokr)(sampling)


def _keyframes(hooks):
    """Full strength up to a quarter of the schedule, then less."""
    from comfy_extras.nodes_hooks import CreateHookKeyframe, SetHookKeyframes
    keyframes = node(CreateHookKeyframe, 1.0, 0.0)[0]
    keyframes = node(CreateHookKeyframe, 0.3, 0.25, prev_hook_kf=keyframes)[0]
    return node(SetHookKeyframes, hooks, keyframes)[0]


def _hooked(sampling: Sampling, hooks, on=("positive", "negative")):
    import comfy.hooks
    for name in on:
        setattr(sampling, name, comfy.hooks.set_hooks_for_conditioning(getattr(sampling, name), hooks))


def scheduled_lora(sampling: Sampling):
    import comfy.hooks
    _hooked(sampling, _keyframes(comfy.hooks.create_hook_lora(lora(sampling), 1.0, 0.0)))


def lora_of_one_prompt(sampling: Sampling):
    import comfy.hooks
    _hooked(sampling, comfy.hooks.create_hook_lora(lora(sampling), 0.8, 0.0), on=("positive",))


def model_as_lora(sampling: Sampling):
    import comfy.hooks
    weights = comfy.hooks.get_patch_weights_from_model(sampling.another_model())
    _hooked(sampling, comfy.hooks.create_hook_model_as_lora(weights, None, 0.3, 0.0))


def hypernetwork(sampling: Sampling):
    random = _random(10)

    def network(width: int) -> dict:
        return {"linear.0.weight": random(width, width, scale=0.3 / width ** 0.5),
                "linear.0.bias": random(width, scale=0.05)}
    tensors = {width: [network(width), network(width)] for width in (32, 64, 128, 768)}
    name = stored("hypernetworks", "small.pt", lambda path: torch.save(tensors, path))
    sampling.model = node(extra("nodes_hypernetwork", "HypernetworkLoader")(), sampling.model, name, 1.0)[0]


def merged(sampling: Sampling):
    sampling.model = node(extra("nodes_model_merging", "ModelMergeSimple")(), sampling.model, sampling.another_model(),
                          0.7)[0]


def merged_by_blocks(sampling: Sampling):
    shares = {"input": 0.9, "middle": 0.2, "out": 0.6}
    sampling.model = node(extra("nodes_model_merging", "ModelMergeBlocks")(), sampling.model, sampling.another_model(),
                          **shares)[0]


def difference_added(sampling: Sampling):
    subtract, add = (extra("nodes_model_merging", name)() for name in ("ModelSubtract", "ModelAdd"))
    of_two = node(subtract, sampling.another_model(1), sampling.another_model(2), 0.2)[0]
    sampling.model = node(add, sampling.model, of_two)[0]


def saved(sampling: Sampling):
    """Saved with a LoRA in it by the host, and loaded from that file."""
    import comfy.utils
    import folder_paths
    from comfy_extras.nodes_model_merging import ModelSave
    _loaded(lora)(sampling)
    folder_paths.set_output_directory(str(ROOT / ".test" / "combined"))
    writer = ModelSave()
    writer.save(sampling.model, "merged")
    newest = max((ROOT / ".test" / "combined").glob("merged*"), key=lambda path: path.stat().st_mtime)
    sampling.model = sd15(sampling.pack).model
    tensors = comfy.utils.load_torch_file(str(newest))
    sampling.model.model.load_model_weights(tensors, "model.diffusion_model.")
    newest.unlink()


HOOKS = "CreateHookLora, SetHookKeyframes"
COMBINATIONS = [
    Combination("LoRA", "LoraLoaderModelOnly", _loaded(lora)),
    Combination("DoRA", "LoraLoaderModelOnly", _loaded(dora)),
    Combination("LoHa", "LoraLoaderModelOnly", _loaded(loha)),
    Combination("LoKr", "LoraLoaderModelOnly", _loaded(lokr)),
    Combination("OFT", "LoraLoaderModelOnly", _loaded(oft)),
    Combination("LoRA of whole differences", "LoraLoaderModelOnly", _loaded(differences)),
    Combination("Two LoRAs in a row", "LoraLoaderModelOnly", two_loras),
    Combination("LoRA that changes its strength in the run", HOOKS, scheduled_lora),
    Combination("LoRA of one prompt alone", "CreateHookLora", lora_of_one_prompt),
    Combination("Another checkpoint as a LoRA hook", "CreateHookModelAsLora", model_as_lora),
    Combination("Hypernetwork", "HypernetworkLoader", hypernetwork),
    Combination("Merge of two checkpoints", "ModelMergeSimple", merged),
    Combination("Merge by blocks", "ModelMergeBlocks", merged_by_blocks),
    Combination("Difference of two checkpoints added", "ModelMergeSubtract, ModelMergeAdd", difference_added),
    Combination("Saved with its LoRA and loaded again", "ModelSave", saved, second_order="before"),
    Combination("Self attention scaled", "UNetSelfAttentionMultiply",
                on_model(extra("nodes_attention_multiply", "UNetSelfAttentionMultiply"), 1.1, 1.2, 1.0, 0.9)),
    Combination("Cross attention scaled", "UNetCrossAttentionMultiply",
                on_model(extra("nodes_attention_multiply", "UNetCrossAttentionMultiply"), 1.1, 1.0, 1.2, 0.9)),
]
