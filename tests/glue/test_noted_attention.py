"""What newer hosts note beside the weights of an attention, how the checkpoint wants it computed: it acts, and outlives
saving, loading, assembling and distilling. The host's own class where it has one, else one that does as that does."""

import json
import os

import pytest
import torch
from closeness import relative_error

KEY = "input_blocks.4.1.transformer_blocks.0.attn2.comfy_attention.config"
NOTE = {"attention": "comfy_kitchen_int8"}
STEPS = 3


class ComfyAttention(torch.nn.Module):
    """Loads and saves its note as the host's does."""

    def __init__(self):
        super().__init__()
        self.config = None
        self.function = None

    def _load_from_state_dict(self, state_dict, prefix, *arguments):
        noted = state_dict.pop(prefix + "config", None)
        if noted is not None:
            self.config = json.loads(noted.numpy().tobytes())
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.config is not None:
            destination[prefix + "config"] = torch.tensor(list(json.dumps(self.config).encode()), dtype=torch.uint8)


@pytest.fixture
def surveyed(hosted):
    """A UNet with the same child, which nothing calls, has run before the class calls it."""
    from support import models
    patcher = models.make_patcher(hosted.pack, "sd15", 32)
    patcher.model.diffusion_model.get_submodule(KEY.rpartition(".comfy_attention")[0]).unknown = torch.nn.Identity()
    hosted.sample(hosted.host.with_native_engine(patcher), steps=1)


@pytest.fixture
def noted(hosted, comfy, monkeypatch):
    """A MODEL one of whose attentions has a note."""
    from comfy.ldm.modules import attention
    from support import models
    if not hasattr(attention, "ComfyAttention"):
        plain = attention.CrossAttention.__init__

        def with_attention(self, *arguments, **named):
            plain(self, *arguments, **named)
            self.comfy_attention = ComfyAttention()

        monkeypatch.setattr(attention.CrossAttention, "__init__", with_attention)
    patcher = models.make_patcher(hosted.pack, "sd15", 32)
    patcher.model.diffusion_model.get_submodule(KEY.rpartition(".")[0]).config = NOTE
    return patcher


def notes_of(patcher) -> dict:
    return {name: module.config for name, module in patcher.model.diffusion_model.named_modules()
            if type(module).__name__ == "ComfyAttention" and module.config is not None}


def test_a_saved_unet_keeps_it(hosted, native, noted, tmp_path, monkeypatch):
    import folder_paths
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    path = hosted.host.save_unet(noted, "noted")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models",
                        ([os.path.dirname(path)], {".safetensors"}))
    loaded = native.execute("ASDMLoadUNet", hosted.host, {
        "unet_name": os.path.basename(path), "weight_dtype": "default"})["outputs"][0]
    assert notes_of(loaded) == notes_of(noted) == {KEY.rpartition(".")[0]: NOTE}
    assert relative_error(hosted.sample(noted, steps=STEPS), hosted.sample(loaded, steps=STEPS)) < 1e-4


def test_a_smaller_unet_keeps_it(hosted, native, noted):
    student = native.execute("ASDMAssembleUNet", hosted.host, {"model": noted, "preset": "s0", "remove": ""})
    student = student["outputs"][0]
    assert notes_of(student) == notes_of(noted)
    trained = native.execute("ASDMDistillUNet", hosted.host, {
        "teacher": noted, "student": student, "latents": {"samples": torch.ones(1, 4, 8, 8)},
        "positive": hosted.cond(1), "steps": 1, "batch_size": 1})["outputs"][0]
    assert notes_of(trained) == notes_of(noted)


def test_one_that_acts_runs_in_the_host(hosted, surveyed, noted):
    from comfy.ldm.modules import attention

    def halved(q, k, v, heads, *arguments, **named):
        q, k, v = (tensor.take() if hasattr(tensor, "take") and not torch.is_tensor(tensor) else tensor
                   for tensor in (q, k, v))
        return attention.attention_basic(q * 0.5, k, v, heads)

    plain = hosted.sample(noted, steps=STEPS)
    hosted.sample(hosted.host.with_native_engine(noted), steps=STEPS)  # what it does now is known
    unit = noted.model.diffusion_model.get_submodule(KEY.rpartition(".comfy_attention")[0])
    unit.comfy_attention.function = halved
    expected = hosted.sample(noted, steps=STEPS)
    found, report = hosted.sampled(hosted.host.with_native_engine(noted), steps=STEPS)
    assert relative_error(expected, found) < 1e-5
    assert [place["address"] for place in report["places"]] == ["in.4.attn.0.attn2"]
    if type(unit.comfy_attention) is not ComfyAttention:  # the host calls it
        assert relative_error(plain, expected) > 1e-4
