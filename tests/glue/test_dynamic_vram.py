"""Dynamic VRAM by the host's own patcher and casts, on a CPU that is told to be a device with pages. Collected where
the host has it (0.18 and newer)."""

import logging

import pytest
import torch
from closeness import relative_error
from hosted_model import lora, lora_schedule, with_lora
from paged_vram import PagedMemory

DEVICE = torch.device("cpu", 0)  # not equal to where tensors of the CPU say they are
CPU = torch.device("cpu")
STEPS = 4


class NoHostBuffer:
    """comfy-aimdo's pinned memory; none is pinned here."""

    def __init__(self, *sizes):
        self.size = 0

    def truncate(self, *_, **__):
        pass


@pytest.fixture
def paged_device(comfy, monkeypatch):
    """The CPU is a device with pages; its memories, as they are made."""
    import comfy.model_management
    import comfy.ops
    import comfy_aimdo.host_buffer
    import comfy_aimdo.model_vbar
    import comfy_aimdo.torch
    from comfy.cli_args import args

    memories = []

    def memory(size, index):
        memories.append(PagedMemory(size))
        return memories[-1]

    def on_the_device(leaf, input=None, dtype=None, device=None, bias_dtype=None, **named):
        dtype = input.dtype if dtype is None else dtype
        return plain(leaf, None, dtype=dtype, device=DEVICE, bias_dtype=bias_dtype or dtype, **named)

    plain = comfy.ops.cast_bias_weight
    own = on_the_device.__code__.replace(co_filename=plain.__code__.co_filename)
    on_the_device.__code__ = own  # it is the host's own
    monkeypatch.setattr(comfy.ops, "cast_bias_weight", on_the_device)
    monkeypatch.setattr(comfy_aimdo.model_vbar, "ModelVBAR", memory)
    monkeypatch.setattr(comfy_aimdo.host_buffer, "HostBuffer", NoHostBuffer)
    monkeypatch.setattr(comfy_aimdo.torch, "aimdo_to_tensor", lambda page, device: page[0].view(*page[1:]))
    monkeypatch.setattr(comfy.model_management, "is_device_cpu", lambda device: False)
    monkeypatch.setattr(args, "disable_pinned_memory", True)
    yield memories
    comfy.model_management.unload_all_models()


@pytest.fixture
def dynamic(hosted, paged_device):
    """A MODEL in dynamic VRAM with the weights of `hosted`."""
    return dynamic_model(hosted)


def dynamic_model(hosted, seed=0):
    from comfy.model_patcher import ModelPatcherDynamic
    return ModelPatcherDynamic(model_of_its_own(hosted, seed), load_device=DEVICE, offload_device=CPU)


def model_of_its_own(hosted, seed=0):
    """The host's model of the weights that `hosted` has, or of those of another `seed`."""
    from support import models
    return models.make_patcher(hosted.pack, "sd15", 32, seed=seed).model


def loaded_again(hosted, seed=0):
    """What a loader of the host leaves with a MODEL: how it is made once more, loaded whole."""
    from comfy.model_patcher import ModelPatcher

    def factory(disable_dynamic=False):
        assert disable_dynamic
        return ModelPatcher(model_of_its_own(hosted, seed), load_device=DEVICE, offload_device=CPU)

    return factory, ()


@pytest.mark.parametrize("changed", [lambda model: model, with_lora], ids=["plain", "lora"])
def test_the_engine_gives_what_the_host_gives(hosted, dynamic, paged_device, changed):
    model = changed(dynamic)
    expected = hosted.sample(model, steps=STEPS)
    engine = hosted.host.with_native_engine(model)
    assert engine.is_dynamic()
    found, report = hosted.sampled(engine, steps=STEPS)
    assert relative_error(expected, found) < 1e-5
    assert report["fallback_calls"] == 0
    assert report["native_share"] == 1.0
    assert all(memory.pinned == 0 for memory in paged_device)


def test_filled_pages_are_read_where_they_lie(hosted, dynamic, monkeypatch, glue):
    engine = hosted.host.with_native_engine(with_lora(dynamic))
    weights = glue("host.weights")
    asked, after = [], []
    fetch = weights._fetch
    monkeypatch.setattr(weights, "_fetch", lambda *arguments: asked.append(arguments) or fetch(*arguments))
    hosted.sample(engine, steps=STEPS, callback=lambda *_: after.append(len(asked)))
    assert after[0] > 200
    assert after == after[:1] * STEPS


def test_a_model_that_fits_is_loaded_whole_and_once(hosted, dynamic, caplog):
    dynamic.cached_patcher_init = loaded_again(hosted)
    model = with_lora(dynamic)
    expected = hosted.sample(model, steps=STEPS)
    with caplog.at_level(logging.INFO, "asdm"):
        first = hosted.host.with_native_engine(model)
        second = hosted.inheriting(dynamic)
    assert not first.is_dynamic()
    assert first.model is second.model is not dynamic.model
    assert caplog.text.count("loaded whole") == 1
    assert relative_error(expected, hosted.sample(first, steps=STEPS)) < 1e-5
    first.model.to("meta")  # none of its weights are the dynamic one's
    assert relative_error(expected, hosted.sample(model, steps=STEPS)) < 1e-5


@pytest.fixture
def small_device(monkeypatch):
    """No model fits as a whole."""
    import comfy.model_management
    monkeypatch.setattr(comfy.model_management, "get_total_memory", lambda *_, **__: 1 << 20)


def test_a_model_that_does_not_fit_stays(hosted, dynamic, small_device):
    dynamic.cached_patcher_init = (lambda disable_dynamic=False: pytest.fail("loaded once more"), ())
    assert hosted.inheriting(dynamic).is_dynamic()


def test_a_model_whose_file_is_gone_stays(hosted, dynamic, caplog):
    def gone(disable_dynamic=False):
        raise FileNotFoundError("model.safetensors")

    dynamic.cached_patcher_init = (gone, ())
    assert hosted.inheriting(dynamic).is_dynamic()
    assert "model.safetensors" in caplog.text


def test_a_saved_unet_has_the_lora_in_it(hosted, dynamic, tmp_path, monkeypatch):
    import folder_paths
    import safetensors.torch
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    saved = safetensors.torch.load_file(hosted.host.save_unet(with_lora(dynamic), "dynamic"))
    expected = safetensors.torch.load_file(hosted.host.save_unet(with_lora(hosted.patcher), "whole"))
    assert saved.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(saved[name], tensor), name


def test_an_assembled_unet_is_that_of_the_same_model_loaded_whole(hosted, dynamic):
    from support import models
    found, expected = (models.assembled(hosted.pack, model, "s0_s1") for model in (with_lora(dynamic), hosted.patcher))
    expected.add_patches({name: patch for name, patch in lora(hosted.patcher).items()
                          if name in expected.model.state_dict()}, 0.5)
    assert relative_error(hosted.sample(expected, steps=STEPS), hosted.sample(found, steps=STEPS)) < 1e-5


def test_a_lora_of_a_conditioning(hosted, dynamic, small_device):
    dynamic.cached_patcher_init = loaded_again(hosted)
    hooks = hosted.cond(1, hooks=lora_schedule(lora(dynamic)))
    expected = hosted.sample(dynamic, positive=hooks, steps=STEPS)
    engine = hosted.host.with_native_engine(dynamic)
    found, report = hosted.sampled(engine, positive=hooks, steps=STEPS)
    assert relative_error(hosted.sample(dynamic, steps=STEPS), expected) > 1e-3
    assert relative_error(expected, found) < 1e-5
    assert report["native_share"] == 1.0


def test_a_lora_of_a_conditioning_acts_on_each_of_two_unets(hosted, dynamic, small_device):
    early = dynamic_model(hosted, seed=5)
    early.cached_patcher_init, dynamic.cached_patcher_init = loaded_again(hosted, 5), loaded_again(hosted)
    hooks = hosted.cond(1, hooks=lora_schedule(lora(dynamic), strengths=(1.0, 1.0)))
    sigmas = hosted.sigmas(STEPS)
    half = hosted.sample(early, positive=hooks, sigmas=sigmas[:3])
    expected = hosted.sample(dynamic, positive=hooks, latent=half, sigmas=sigmas[2:], noise=False)
    switched = hosted.host.with_early_unet(dynamic, early, 0.5)
    additional = switched.get_additional_models()
    assert relative_error(expected, hosted.sample(switched, positive=hooks, steps=STEPS)) < 1e-4
    assert switched.get_additional_models() == additional


@pytest.fixture
def whole(hosted):
    """The model of `hosted` with the same LoRA, loaded whole."""
    return with_lora(hosted.patcher)


def test_calibration_is_that_of_the_same_model_loaded_whole(hosted, native, dynamic, whole):
    found, expected = (native.execute("ASDMAssembleUNet", hosted.host, {
        "model": model, "preset": "s0", "remove": "", "calibrate": hosted.cond(1),
        "latent": {"samples": torch.zeros(1, 4, 8, 8)}})["outputs"][0] for model in (with_lora(dynamic), whole))
    assert relative_error(hosted.sample(expected, steps=STEPS), hosted.sample(found, steps=STEPS)) < 1e-4


def test_distillation_is_that_of_the_same_model_loaded_whole(hosted, native, dynamic, whole):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    found, expected = (native.execute("ASDMDistillUNet", hosted.host, {
        "teacher": teacher, "latents": {"samples": latents}, "positive": hosted.cond(1), "steps": 2, "batch_size": 1,
        "student": native.execute("ASDMAssembleUNet", hosted.host, {
            "model": teacher, "preset": "s0", "remove": ""})["outputs"][0]})["outputs"][0]
        for teacher in (with_lora(dynamic), whole))
    assert relative_error(hosted.sample(expected, steps=STEPS), hosted.sample(found, steps=STEPS)) < 1e-4
