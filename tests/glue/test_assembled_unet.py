"""Assembled UNets: the engine against the Python forward over the host's modules, and what the host does with them."""

import gc
import weakref

import pytest
import torch
from hosted_model import HostedModel

CASES = [("sd15", name) for name in ("s0", "s0_s1", "s0_s1_s2", "thin", "bk_base", "bk_small", "bk_tiny")]
CASES += [("sd21", "s0_s1"), ("sd21", "bk_small"), ("sd21", "bk_tiny")]
CASES += [("sdxl", name) for name in ("s0_s1", "bk_base", "bk_small", "ssd_1b", "vega", "koala_1b", "koala_700m")]


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture(scope="module")
def teachers(hosted, glue):
    """A host model of each structure at width 32."""
    from types import SimpleNamespace

    from support import models

    pack = SimpleNamespace(loader=glue("host.loader"), native=glue("native"))
    made = {}

    def get(preset):
        if preset not in made:
            made[preset] = models.make_patcher(pack, preset, 32)
        return made[preset]

    return get


def assembled(native, hosted, model, preset="none", remove=""):
    return native.execute("ASDMAssembleUNet", hosted.host,
                          {"model": model, "preset": preset, "remove": remove})["outputs"][0]


def reference(patcher):
    """The same MODEL without the engine."""
    clone = patcher.clone()
    clone.model_options["transformer_options"]["wrappers"].pop("diffusion_model")
    return clone


def forward(patcher, control=None, options=None, height=16, width=16):
    from support import calls, models

    inputs = models.random_inputs(patcher, height=height, width=width)
    calls.load(patcher)
    try:
        return calls.forward(patcher, inputs, control, options)
    finally:
        calls.unload(patcher)


def both(patcher, **call):
    return forward(patcher, **call), forward(reference(patcher), **call)


def expect_close(value, wanted):
    from support import measure

    assert measure.relative_l2(value, wanted) < 2e-5


def expect_same_offloaded(patcher):
    """The UNet computes the same with weights that are cast at their use."""
    from support import calls, models

    wanted = forward(patcher)
    calls.load(patcher, offload=True)
    try:
        expect_close(calls.forward(patcher, models.random_inputs(patcher)), wanted)
    finally:
        calls.unload(patcher)


def expect_inheriting(native, hosted, patcher):
    """Samples `patcher` under feature inheritance; returns the patcher that inherits."""
    inheriting = native.execute("ASDMFeatureInheritance", hosted.host, {"model": patcher, "interval": 2})["outputs"][0]
    latent = hosted.sample(inheriting)
    assert hosted.report(inheriting, latent)["found"]
    assert latent.isfinite().all()
    return inheriting


@pytest.mark.parametrize(("preset", "name"), CASES)
def test_the_engine_equals_the_python_forward(native, hosted, teachers, preset, name):
    patcher = assembled(native, hosted, teachers(preset), name)
    expect_close(*both(patcher, height=16, width=24))
    teacher = forward(teachers(preset), height=16, width=24)
    assert (forward(patcher, height=16, width=24) - teacher).norm() > 1e-3 * teacher.norm()


def test_free_lists_leave_gaps_and_odd_sizes_meet_again(native, hosted, teachers):
    patcher = assembled(native, hosted, teachers("sdxl"), remove="in.7.attn.0 in.7.attn.4, mid.attn\nin.2 out.7")
    expect_close(*both(patcher, height=18, width=22))
    names = patcher.model.diffusion_model.state_dict()
    assert not any(name.startswith("input_blocks.2.") for name in names)
    assert "input_blocks.7.1.transformer_blocks.1.norm1.weight" in names
    assert "input_blocks.7.1.transformer_blocks.4.norm1.weight" not in names


def test_nothing_removed_by_the_python_forward_is_the_hosts_own(hosted, glue, teachers):
    """The Python forward against the host's: the same modules, none removed."""
    import comfy.ops

    unet = glue("host.assembled_unet").AssembledUNet
    spec = glue("host.unet_config").describe(teachers("sd15").model)["spec"]
    host_unet = teachers("sd15").model.diffusion_model
    whole = unet(spec, **teachers("sd15").model.model_config.unet_config,
                 operations=comfy.ops.disable_weight_init)
    whole.load_state_dict(host_unet.state_dict(), strict=False)
    generator = torch.Generator().manual_seed(2)
    x, context = torch.randn(2, 4, 18, 14, generator=generator), torch.randn(2, 77, 768, generator=generator)
    steps = torch.tensor([901.0, 3.0])

    def residuals():
        control = {"input": [], "middle": [torch.randn(2, 128, 3, 2, generator=torch.Generator().manual_seed(5))],
                   "output": []}
        for channels, height, width in ((128, 3, 2), (64, 9, 7), (32, 18, 14)):
            control["output"].append(None if channels == 64 else torch.full((2, 128, 3, 2), 0.1))
            control["input"].append(torch.full((2, channels, height, width), 0.1))
        return control

    seen = []

    def patched(h, options):
        seen.append((*options["block"], options["transformer_index"]))
        return h * 1.01

    def call(model):
        options = {"patches": {"input_block_patch": [patched], "input_block_patch_after_skip": [patched],
                               "output_block_patch": [lambda h, skip, options: (patched(h, options), skip * 0.9)],
                               "emb_patch": [lambda emb, channels, options: emb * 0.99]}}
        seen.clear()
        with torch.no_grad():
            output = model._forward(x, steps, context, control=residuals(), transformer_options=options)
        return output, [place[:2] for place in seen]

    (mine, my_places), (hosts, host_places) = call(whole), call(host_unet)
    torch.testing.assert_close(mine, hosts, rtol=0, atol=0)
    assert my_places == host_places


def test_hooks_and_control_act_as_in_the_python_forward(native, hosted, teachers):
    patcher = assembled(native, hosted, teachers("sd15"), "bk_small")
    seen = {True: [], False: []}

    def options(log):
        def note(h, options):
            log.append((options["block"], options.get("transformer_index")))
            return h

        def attn(n, context, value, extra):
            log.append((extra["block"], extra["block_index"], extra["transformer_index"]))
            return n * 1.1, context, value

        return {"patches": {"input_block_patch": [note], "attn2_patch": [attn],
                            "output_block_patch": [lambda h, skip, options: (h * 1.2, skip)]}}

    def control(inputs):
        generator = torch.Generator().manual_seed(9)
        sizes = [(128, 2)] * 3 + [(128, 4)] * 3 + [(64, 8)] * 3 + [(32, 16)] * 3
        made = [torch.randn(2, channels, size, size, generator=generator) for channels, size in sizes]
        return {"input": [], "middle": [torch.randn(2, 128, 2, 2)], "output": made}

    outputs = {native_runs: forward(patcher if native_runs else reference(patcher), control,
                                    options(seen[native_runs])) for native_runs in seen}
    expect_close(outputs[True], outputs[False])
    assert [place for place in seen[True] if len(place) == 3] == [place for place in seen[False] if len(place) == 3]
    assert (("output", 3), 0, 7) in seen[True]


def test_weights_are_the_teachers_own_memory(native, hosted, teachers):
    teacher = teachers("sd15").model.diffusion_model.state_dict()
    smaller = assembled(native, hosted, teachers("sd15"), "bk_tiny").model.diffusion_model.state_dict()
    tensors = [name for name in smaller if not name.startswith("asdm_unet_spec")]
    assert len(tensors) < len(teacher)
    for name in tensors:
        assert smaller[name].data_ptr() == teacher[name].data_ptr(), name


def lora(model, *names, strength=0.5):
    """Patches of the kind that LoRA loaders make, for the weights `names`."""
    weights = model.model.state_dict()
    return {name: ("diff", (torch.full_like(weights[name], strength),)) for name in names if name in weights}


KEPT, GONE = ("diffusion_model.output_blocks.11.0.in_layers.2.weight",
              "diffusion_model.output_blocks.10.0.in_layers.2.weight")


def test_patches_of_the_teacher_go_on_and_those_of_removed_blocks_do_not(native, hosted, teachers):
    patched = teachers("sd15").clone()
    patched.add_patches(lora(patched, KEPT, GONE), 1.0)
    before = assembled(native, hosted, patched, "s0_s1")
    assert list(before.patches) == [KEPT]
    plain = assembled(native, hosted, teachers("sd15"), "s0_s1")
    after = plain.clone()
    after.add_patches(lora(after, KEPT), 1.0)
    assert (forward(before) - forward(plain)).norm() > 0
    torch.testing.assert_close(forward(before), forward(after), rtol=0, atol=0)
    expect_close(*both(before))


def test_a_teacher_that_is_loaded_with_its_patches_gives_unpatched_weights(native, hosted, teachers):
    from support import calls

    patched = teachers("sd15").clone()
    patched.add_patches(lora(patched, KEPT), 1.0)
    calls.load(patched)
    try:
        smaller = assembled(native, hosted, teachers("sd15"), "s0")
    finally:
        calls.unload(patched)
    wanted = teachers("sd15").model.state_dict()[KEPT]
    assert torch.equal(smaller.model.state_dict()[KEPT], wanted)


def test_lora_keys_are_those_of_the_full_unet(native, hosted, teachers):
    import comfy.lora

    full = comfy.lora.model_lora_keys_unet(teachers("sd15").model, {})
    model = assembled(native, hosted, teachers("sd15"), "bk_base").model
    kept = model.state_dict().keys()
    found = {key: name for key, name in comfy.lora.model_lora_keys_unet(model, {}).items() if name in kept}
    assert {key: name for key, name in full.items() if name in kept}.items() <= found.items()
    assert found["lora_unet_up_blocks_3_attentions_2_proj_in"] == "diffusion_model.output_blocks.11.1.proj_in.weight"


def test_offloaded_weights_and_inheritance_work(native, hosted, teachers):
    patcher = assembled(native, hosted, teachers("sd15"), "s0_s1")
    expect_same_offloaded(patcher)
    inheriting = expect_inheriting(native, hosted, patcher)
    again = assembled(native, hosted, inheriting, remove="in.8 out.4")
    assert hosted.sample(again).isfinite().all()


def test_a_unet_lets_go_of_the_one_it_was_made_of(native, hosted, teachers):
    first = assembled(native, hosted, teachers("sd15"), "s0_s1")
    model = weakref.ref(first.model)
    again = assembled(native, hosted, first, remove="in.8 out.4")
    del first
    gc.collect()
    assert model() is None
    assert again.model.diffusion_model.state_dict()


def test_refusals_name_the_part(native, hosted, teachers):
    with pytest.raises(ValueError, match="the skip of in.1 lost its consumer out.10"):
        assembled(native, hosted, teachers("sd15"), remove="out.10")
    with pytest.raises(ValueError, match=r"ASDMAssembleUNet\.remove: expected parts that the UNet still has"):
        assembled(native, hosted, teachers("sd15"))


def load(native, hosted, path):
    class FromPath(type(hosted.host)):
        def list_models(self, folder):
            return [path.name]

        def model_path(self, folder, name):
            return str(path)

    return native.execute("ASDMLoadUNet", FromPath(), {"unet_name": path.name})["outputs"][0]


def test_it_is_saved_whole_and_loaded_back(native, hosted, teachers, tmp_path, monkeypatch):
    import folder_paths
    import safetensors.torch

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    patcher = assembled(native, hosted, teachers("sd15"), "bk_tiny")
    patcher.add_patches(lora(patcher, KEPT), 1.0)
    save = {"model": patcher, "filename_prefix": "diffusion_models/tiny"}
    text = native.execute("ASDMSaveUNet", hosted.host, save)["ui_text"]
    path = tmp_path / "diffusion_models" / "tiny_00001_.safetensors"
    assert text == f"saved {path}"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    loaded = load(native, hosted, path)
    torch.testing.assert_close(forward(loaded), forward(patcher), rtol=0, atol=0)

    def cut_short(tensors, filename, metadata=None):
        with open(filename, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", cut_short)
    with pytest.raises(OSError, match="disk full"):
        native.execute("ASDMSaveUNet", hosted.host, save)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_hosts_own_save_and_merge_carry_the_spec(native, hosted, teachers, tmp_path):
    import comfy.sd
    from comfy_extras.nodes_model_merging import ModelMergeSimple

    first = assembled(native, hosted, teachers("sd15"), "bk_base")
    other = assembled(native, hosted, teachers("sd15"), "bk_base")
    other.add_patches(lora(other, KEPT), 1.0)
    merged = ModelMergeSimple().merge(first, other, 0.25)[0]
    path = tmp_path / "merged.safetensors"
    comfy.sd.save_checkpoint(str(path), merged)
    loaded = load(native, hosted, path)
    assert loaded.model.diffusion_model.spec == first.model.diffusion_model.spec
    torch.testing.assert_close(forward(loaded), forward(merged), rtol=0, atol=0)
