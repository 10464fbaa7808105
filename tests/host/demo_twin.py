"""What a workflow for public checkpoints is on the demo model: the same prompt with other loaders, words and sizes."""

import copy

from graphs import SAMPLING, TEXT_ENCODER, UNET, VAE
from tiny_models import CONTROL_NET, LORA

PIXELS = 128  # the demo model was trained on this size alone
SIZES = ("width", "height", "x", "y", "left", "top", "right", "bottom")
# Nodes of the pack's between the loaders and the sampler, by what of them is handed on where they are left out.
INHERITING = {"ASDMFeatureInheritance": "model", "ASDMApplyPlan": "model", "ASDMWrapSampler": "sampler"}


def demo_twin(prompt: dict, caption: str = "strawberry", **changes) -> dict:
    """`prompt` in API format with the demo model's files in the place of checkpoints, its size and its cfg, and
    `caption` as every prompt but the negative ones. `changes`: values of inputs by their names."""
    twin = copy.deepcopy(prompt)
    for node_id, node in list(twin.items()):
        if node["class_type"] == "CheckpointLoaderSimple":
            _load_demo(twin, node_id)
    negative = {node["inputs"]["negative"][0] for node in twin.values() if "negative" in node["inputs"]}
    scale = PIXELS / max(node["inputs"].get("width", 0) for node in twin.values())
    for node_id, node in twin.items():
        values = node["inputs"]
        if node["class_type"] == "CLIPTextEncode":
            values["text"] = "" if node_id in negative else caption
        of_demo = {"cfg": SAMPLING["cfg"], "lora_name": LORA, "control_net_name": CONTROL_NET}
        values.update({name: value for name, value in (of_demo | changes).items() if name in values})
        values.update({name: round(values[name] * scale) for name in SIZES if isinstance(values.get(name), int)})
    return twin


def _load_demo(twin: dict, checkpoint: str):
    """MODEL keeps the loader's place; CLIP and VAE come from loaders of their own."""
    twin[checkpoint] = {"class_type": "ASDMLoadUNet", "inputs": {
        "unet_name": UNET, "weight_dtype": "default", "engine": "native"}}
    twin[f"{checkpoint}-clip"] = {"class_type": "CLIPLoader", "inputs": {
        "clip_name": TEXT_ENCODER, "type": "stable_diffusion"}}
    twin[f"{checkpoint}-vae"] = {"class_type": "VAELoader", "inputs": {"vae_name": VAE}}
    others = {1: f"{checkpoint}-clip", 2: f"{checkpoint}-vae"}
    for node in twin.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == checkpoint and value[1] in others:
                node["inputs"][name] = [others[value[1]], 0]


def without_inheritance(prompt: dict) -> dict:
    """`prompt` with the nodes left out that make it inherit, as a user bypasses them."""
    plain = copy.deepcopy(prompt)
    left_out = {node_id: node["inputs"][INHERITING[node["class_type"]]] for node_id, node in plain.items()
                if node["class_type"] in INHERITING}
    for node_id in left_out:
        del plain[node_id]
    for node in plain.values():
        for name, value in node["inputs"].items():
            while isinstance(value, list) and value[0] in left_out:
                value = left_out[value[0]]
            node["inputs"][name] = value
    return plain
