"""ME-CondConv in the host's models: the engine against the Python forward, the start, what the host does with it."""


import pytest
import torch
from hosted_model import HostedModel
from test_assembled_unet import assembled, both, expect_close, expect_inheriting, expect_same_offloaded, forward, load

SITES = "in.1.res.conv2 in.4.res.conv1 out.9.res.conv1 out.9.res.conv2"
KEPT = "diffusion_model.output_blocks.9.0.out_layers.3.weight"
EXPERT = "diffusion_model.output_blocks.9.0.conv2_experts.1.weight"


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture(scope="module")
def smaller(native, hosted):
    return assembled(native, hosted, hosted.patcher, "s0_s1")


def with_experts(native, hosted, model, **inputs):
    return native.execute("ASDMMECondConv", hosted.host, {"model": model, **inputs})["outputs"][0]


def learnt(patcher):
    """The same MODEL with routers that tell samples apart, as after training."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in patcher.model.diffusion_model.named_parameters():
            if "_routing" in name:
                size = 2.0 if name.endswith(".weight") else 0.2
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    return patcher


@pytest.mark.parametrize("routing", ["softmax", "sigmoid"])
@pytest.mark.parametrize("source", ["input", "input_shared", "time"])
def test_the_engine_equals_the_python_forward(native, hosted, smaller, routing, source):
    patcher = learnt(with_experts(native, hosted, smaller, sites=SITES, experts=3, routing=routing, source=source,
                                  temperature=2.0, teacher=hosted.patcher))
    value, reference = both(patcher, height=18, width=14)
    expect_close(value, reference)
    plain = forward(smaller, height=18, width=14)
    assert (value - plain).norm() > 1e-3 * plain.norm()


def test_a_full_unet_takes_experts_too(native, hosted):
    patcher = learnt(with_experts(native, hosted, hosted.patcher, sites="mid.res0.conv2 out.3.res.conv1"))
    expect_close(*both(patcher))


@pytest.mark.parametrize("routing", ["softmax", "sigmoid"])
def test_it_starts_as_the_unet_that_it_was(native, hosted, smaller, routing):
    from support import measure

    patcher = with_experts(native, hosted, smaller, experts=3, routing=routing, teacher=hosted.patcher)
    assert measure.relative_l2(forward(patcher), forward(smaller)) < 1e-3
    weights = patcher.model.diffusion_model.state_dict()
    pruned = hosted.patcher.model.diffusion_model.state_dict()
    first = weights["input_blocks.1.0.conv2_experts.1.weight"]
    assert torch.equal(first, pruned["input_blocks.2.0.out_layers.3.weight"])
    kept = pruned["input_blocks.1.0.out_layers.3.weight"]
    perturbed = weights["input_blocks.1.0.conv2_experts.2.weight"]
    assert float((perturbed - kept).std()) == pytest.approx(0.05 * float(kept.std()), rel=0.05)
    mixed = 0.75 * weights["input_blocks.1.0.out_layers.3.weight"] + 0.125 * (first + perturbed)
    torch.testing.assert_close(mixed, kept)
    assert not weights["input_blocks.1.0.conv2_routing.weight"].any()


def test_what_was_there_keeps_its_memory_and_what_is_new_does_not(native, hosted, smaller):
    weights = with_experts(native, hosted, smaller, teacher=hosted.patcher).model.diffusion_model.state_dict()
    teacher = hosted.patcher.model.diffusion_model.state_dict()
    pointers = {tensor.data_ptr() for tensor in teacher.values()}
    new = {name.rpartition(".")[0] for name in weights if "_experts." in name or "_routing." in name}
    new |= {f"{name.partition('.conv2_')[0]}.out_layers.3" for name in new}
    for name, tensor in weights.items():
        if not name.startswith("asdm_unet_spec"):
            assert (tensor.data_ptr() in pointers) == (name.rpartition(".")[0] not in new), name


def test_lora_reaches_each_expert_and_the_kept_one_by_its_old_name(native, hosted, smaller):
    import comfy.lora

    patcher = learnt(with_experts(native, hosted, smaller, experts=3))
    keys = comfy.lora.model_lora_keys_unet(patcher.model, {})
    assert keys["lora_unet_up_blocks_3_resnets_0_conv2"] == KEPT
    assert keys["lora_unet_output_blocks_9_0_conv2_experts_1"] == EXPERT
    plain = forward(patcher)
    for name in (KEPT, EXPERT):
        weight = patcher.model.state_dict()[name]
        patched = patcher.clone()
        assert patched.add_patches({name: ("diff", (torch.full_like(weight, 0.02),))}, 1.0) == [name]
        value, reference = both(patched)
        expect_close(value, reference)
        assert (value - plain).norm() > 1e-4 * plain.norm(), name


def test_offloaded_weights_inheritance_and_sampling_work(native, hosted, smaller):
    patcher = learnt(with_experts(native, hosted, smaller, experts=3, teacher=hosted.patcher))
    expect_same_offloaded(patcher)
    expect_inheriting(native, hosted, patcher)


def test_it_is_saved_and_loaded_by_the_pack_and_by_the_host(native, hosted, smaller, tmp_path, monkeypatch):
    import comfy.sd
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    patcher = learnt(with_experts(native, hosted, smaller, experts=2, source="time"))
    wanted = forward(patcher)
    native.execute("ASDMSaveUNet", hosted.host, {"model": patcher, "filename_prefix": "experts"})
    comfy.sd.save_checkpoint(str(tmp_path / "host.safetensors"), patcher)
    for name in ("experts_00001_.safetensors", "host.safetensors"):
        loaded = load(native, hosted, tmp_path / name)
        sites = loaded.model.diffusion_model.spec.fields()["me_cond_conv"]
        assert [site["source"] for site in sites] == ["time"] * 6
        torch.testing.assert_close(forward(loaded), wanted, rtol=0, atol=0)


def test_removing_more_takes_the_experts_of_what_goes(native, hosted, smaller):
    patcher = learnt(with_experts(native, hosted, hosted.patcher, sites="in.1.res.conv2 in.8.res.conv2"))
    again = assembled(native, hosted, patcher, remove="in.8 out.4")
    names = again.model.diffusion_model.state_dict()
    assert "input_blocks.1.0.conv2_routing.weight" in names
    assert not any(name.startswith("input_blocks.8.") for name in names)
    expect_close(*both(again))


def test_refusals_name_the_site(native, hosted, smaller):
    with pytest.raises(ValueError, match="got in.2.res.conv2, which was removed"):
        with_experts(native, hosted, smaller, sites="in.2.res.conv2")
    with pytest.raises(ValueError, match="or a UNet that lacks parts"):
        with_experts(native, hosted, hosted.patcher)


def test_the_start_needs_no_host(native, glue, hosted):
    """As training without ComfyUI asks for it."""
    full = native.preset_spec("sd15", 32)
    student = full.replace(removed=["in.2", "out.10"])
    spec, starts = native.start_me_cond_conv(student, full, experts=2, seed=3)
    weights = {name: torch.randn(shape) for name, shape in glue("unet_file").expected_tensors(full).items()}
    new = glue("training.expert_start").start_tensors(spec, starts, weights, weights)
    expected = glue("unet_file").expected_tensors(spec)
    old = glue("unet_file").expected_tensors(student)
    kept = {start["leaf"] for start in starts if start["shares"]}
    assert len(kept) == len(spec.fields()["me_cond_conv"])
    assert {name: tuple(tensor.shape) for name, tensor in new.items()} == {
        name: shape for name, shape in expected.items() if name not in old or name.rpartition(".")[0] in kept}
