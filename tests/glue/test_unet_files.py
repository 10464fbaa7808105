"""ASDMLoadUNet on every published layout, as synthetic files of those structures at width 32."""

import json
from types import SimpleNamespace

import pytest
import torch
from hosted_model import HostedModel
from safetensors.torch import save_file

# The host's own configuration of each compressed UNet as it is published: numbered anew, so that it knows the names.
RENUMBERED = {
    ("sd15", "bk_base"): {"num_res_blocks": [1] * 4, "transformer_depth": [1, 1, 1, 0],
                          "transformer_depth_output": [1] * 6 + [0, 0]},
    ("sd15", "bk_small"): {"num_res_blocks": [1] * 4, "transformer_depth": [1, 1, 1, 0],
                           "transformer_depth_output": [1] * 6 + [0, 0], "transformer_depth_middle": -2},
    ("sd15", "bk_tiny"): {"num_res_blocks": [1] * 3, "channel_mult": [1, 2, 4], "transformer_depth": [1] * 3,
                          "transformer_depth_output": [1] * 6, "transformer_depth_middle": -2},
    ("sd15", "s0"): {"num_res_blocks": [1, 2, 2, 2], "transformer_depth": [1, 1, 1, 1, 1, 0, 0],
                     "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]},
    ("sdxl", "ssd_1b"): {"transformer_depth": [0, 0, 2, 2, 4, 4], "transformer_depth_middle": -1,
                         "transformer_depth_output": [0, 0, 0, 1, 1, 2, 10, 4, 4]},
    ("sdxl", "vega"): {"transformer_depth": [0, 0, 1, 1, 2, 2], "transformer_depth_middle": -1,
                       "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2]},
    ("sdxl", "koala_1b"): {"num_res_blocks": [1] * 3, "transformer_depth": [0, 2, 6], "transformer_depth_middle": 6,
                           "transformer_depth_output": [0, 0, 2, 2, 6, 6]},
    ("sdxl", "koala_700m"): {"num_res_blocks": [1] * 3, "transformer_depth": [0, 2, 5], "transformer_depth_middle": -2,
                             "transformer_depth_output": [0, 0, 2, 2, 5, 5]},
}
for structure in ("bk_base", "bk_small", "bk_tiny"):
    RENUMBERED["sd21", structure] = RENUMBERED["sd15", structure]
EQUAL_LEVELS = [case for case in RENUMBERED if case[1] != "s0"]  # the host's diffusers names are right for these alone


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture(scope="module")
def full_unet(hosted, glue):
    """(configuration, tensors) of a full UNet at width 32."""
    from support import models

    pack = SimpleNamespace(loader=glue("host.loader"), native=glue("native"))
    made = {}

    def get(preset):
        if preset not in made:
            model = models.make_patcher(pack, preset, 32).model
            made[preset] = dict(model.model_config.unet_config), model.diffusion_model.state_dict()
        return made[preset]

    return get


@pytest.fixture
def load(hosted, tmp_path):
    """Writes tensors to a file, does `spoil(path)` to it, and loads it."""
    path = tmp_path / "unet.safetensors"

    def written(tensors, metadata=None, spoil=lambda path: None):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
        spoil(path)
        return hosted.load_file(path)

    return written


def removed_by(native, preset, name):
    host = SimpleNamespace(expected_instead=lambda kind, value: None,
                           describe_model=lambda model: {"class_name": "", "refusal": "",
                                                         "spec": native.preset_spec(preset, 32)},
                           assemble_unet=lambda model, spec: spec,
                           with_native_engine=lambda model, options: model)
    made = native.execute("ASDMAssembleUNet", host, {"model": object(), "preset": name})
    return made["outputs"][0].removed


def lacking(tensors, removed):
    """`tensors` without the parts `removed`, under the names of the full UNet."""
    gone = []
    for address in removed:
        kind, *path = address.split(".")
        block = "middle_block" if kind == "mid" else {"in": "input", "out": "output"}[kind] + f"_blocks.{path.pop(0)}"
        layer = {"res": "0", "res0": "0", "attn": "1", "res1": "2"}[path[0]] if path else ""
        part = f".transformer_blocks.{path[1]}" if len(path) > 1 else ""
        gone.append(f"{block}.{layer}{part}".rstrip(".") + ".")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(gone))}


def numbered_anew(tensors):
    """The blocks of `tensors` numbered without gaps. {new name: name}"""
    names = {}
    for side in ("input_blocks", "output_blocks"):
        numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith(side + ".")})
        for name in tensors:
            if name.startswith(side + "."):
                _, number, rest = name.split(".", 2)
                names[f"{side}.{numbers.index(int(number))}.{rest}"] = name
    return names | {name: name for name in tensors if not name.startswith(("input_blocks.", "output_blocks."))}


def in_diffusers(config, names):
    """{diffusers name: value} of {ldm name: value}, by the host's own table."""
    import comfy.utils

    table = {ldm: theirs for theirs, ldm in comfy.utils.unet_to_diffusers(config).items()}
    table |= {name: theirs.replace("class_embedding", "add_embedding") for name, theirs in table.items()}
    return {table[name]: value for name, value in names.items()}


def expect_loaded(patcher, tensors, removed):
    unet = patcher.model.diffusion_model
    loaded = {name: tensor for name, tensor in unet.state_dict().items() if not name.startswith("asdm_unet_spec")}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert (unet.spec.removed if removed else None) == (removed or None)


@pytest.fixture
def case(native, full_unet, request):
    preset, name = request.param
    config, tensors = full_unet(preset)
    removed = removed_by(native, preset, name)
    left = lacking(tensors, removed)
    return SimpleNamespace(removed=removed, tensors=left, anew=numbered_anew(left), full_config=config,
                           config={**config, **RENUMBERED[request.param]})


def test_the_renumbered_structures_are_those_that_the_host_builds(native, full_unet, comfy):
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    for (preset, name), changes in RENUMBERED.items():
        config, tensors = full_unet(preset)
        published = UNetModel(**{**config, **changes, "device": "meta"}).state_dict()
        anew = numbered_anew(lacking(tensors, removed_by(native, preset, name)))
        assert {new: tuple(tensors[old].shape) for new, old in anew.items()} == {
            new: tuple(tensor.shape) for new, tensor in published.items()}, (preset, name)


@pytest.mark.parametrize("preset", ["sd15", "sd21", "sdxl", "sdxl_refiner"])
@pytest.mark.parametrize("layout", ["ldm", "diffusers", "checkpoint"])
def test_full_unets(full_unet, load, preset, layout):
    config, tensors = full_unet(preset)
    named = dict(tensors)
    if layout == "diffusers":
        named = in_diffusers(config, tensors)
    elif layout == "checkpoint":
        named = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
        named |= {"first_stage_model.decoder.conv_in.weight": torch.zeros(1), "alphas_cumprod": torch.zeros(3)}
    patcher = load(named)
    expect_loaded(patcher, tensors, [])
    assert type(patcher.model.diffusion_model).__name__ == "UNetModel"


@pytest.mark.parametrize("case", RENUMBERED, indirect=True, ids="-".join)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_ldm_numbered_anew(case, load, prefix):
    expect_loaded(load({prefix + new: case.tensors[old] for new, old in case.anew.items()}), case.tensors, case.removed)


@pytest.mark.parametrize("case", RENUMBERED, indirect=True, ids="-".join)
def test_ldm_with_holes(case, load):
    expect_loaded(load(case.tensors), case.tensors, case.removed)


@pytest.mark.parametrize("case", EQUAL_LEVELS, indirect=True, ids="-".join)
def test_diffusers_numbered_anew(case, load):
    theirs = in_diffusers(case.config, {new: case.tensors[old] for new, old in case.anew.items()})
    expect_loaded(load(theirs), case.tensors, case.removed)


@pytest.mark.parametrize("case", RENUMBERED, indirect=True, ids="-".join)
def test_diffusers_with_holes(case, load):
    expect_loaded(load(in_diffusers(case.full_config, case.tensors)), case.tensors, case.removed)


def test_ldm_without_a_transformer_before_its_upsample(full_unet, load):
    """The host wants the Upsample to move up; others leave it in its place."""
    _, tensors = full_unet("sd15")
    left = lacking(tensors, ["out.8.attn"])
    expect_loaded(load(left), left, ["out.8.attn"])
    moved = {name.replace("output_blocks.8.2.conv", "output_blocks.8.1.conv"): t for name, t in left.items()}
    expect_loaded(load(moved), left, ["out.8.attn"])


def test_every_fault_is_named(full_unet, load):
    _, tensors = full_unet("sd15")
    broken = dict(tensors)
    del broken["input_blocks.4.0.in_layers.2.weight"], broken["output_blocks.5.1.norm.bias"]
    broken["input_blocks.1.0.extra.weight"] = torch.zeros(3)
    broken["lora_te_something.weight"] = torch.zeros(2)
    broken["out.0.bias"] = torch.zeros(7)
    broken["time_embed.0.bias"] = torch.zeros(128, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"unet\.safetensors: expected the tensors of its UNet") as refusal:
        load(broken)
    for fault in ("missing input_blocks.4.0.in_layers.2.weight", "missing output_blocks.5.1.norm.bias",
                  "unexpected input_blocks.1.0.extra.weight", "unexpected lora_te_something.weight",
                  "out.0.bias has shape (7,), expected (32,)",
                  "time_embed.0.bias holds torch.int64, expected floating point numbers"):
        assert fault in str(refusal.value)


def test_what_is_no_unet_or_an_illegal_one_is_refused(full_unet, load):
    _, tensors = full_unet("sd15")
    with pytest.raises(ValueError, match=r"unet\.safetensors: expected the UNet of SD1\.x.*got no tensors of one"):
        load({"encoder.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"unet\.safetensors: .*the skip of in\.1 lost its consumer out\.10"):
        load(lacking(tensors, ["out.10"]))
    with pytest.raises(ValueError, match="one tensor for out.2.weight"):
        load(in_diffusers(full_unet("sd15")[0], tensors) | {"out.2.weight": tensors["out.2.weight"].clone()})


def with_one_tensor_over_another(path):
    """Moves a tensor of the file onto the one before it."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    first, second = sorted((name for name in header if name != "__metadata__"),
                           key=lambda name: header[name]["data_offsets"])[:2]
    begin, end = header[second]["data_offsets"]
    before = header[first]["data_offsets"][1] - header[first]["data_offsets"][0]
    header[second]["data_offsets"] = [begin - before, end - before]
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length:])


@pytest.mark.parametrize("spoil", [with_one_tensor_over_another, lambda path: path.open("ab").write(b"more")])
def test_what_the_formats_own_library_refuses_is_an_error_that_names_the_file(full_unet, load, spoil):
    with pytest.raises(ValueError, match=r"unet\.safetensors"):
        load(full_unet("sd15")[1], spoil=spoil)


def test_a_file_is_read_batch_by_batch(full_unet, load, glue, monkeypatch):
    _, tensors = full_unet("sd15")
    openings = []
    loader = glue("host.loader")
    plain = loader._read
    monkeypatch.setattr(loader, "_AT_A_TIME", 1 << 20)
    monkeypatch.setattr(loader, "_read", lambda path, names: openings.append(len(names)) or plain(path, names))
    expect_loaded(load(tensors), tensors, [])
    assert openings[0] == sum(openings[1:]) == len(tensors)
    assert len(openings) > 10


def test_a_file_that_changes_while_it_is_read_is_refused(full_unet, load, glue, monkeypatch):
    _, tensors = full_unet("sd15")
    loader = glue("host.loader")
    plain = loader.check_family

    def check_family(path, spec):
        save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, path)
        plain(path, spec)

    monkeypatch.setattr(loader, "check_family", check_family)
    with pytest.raises(ValueError, match="to stay torch.float32 of shape .* while it is read, got torch.float16"):
        load(tensors)


def test_the_host_tells_the_prediction_by_the_weights(full_unet, load):
    import comfy.model_base

    _, tensors = full_unet("sd21")
    loud = dict(tensors)
    loud["output_blocks.11.1.transformer_blocks.0.norm1.bias"] = torch.linspace(-1, 1, 32)
    assert load(tensors).model.model_type == comfy.model_base.ModelType.EPS
    assert load(loud).model.model_type == comfy.model_base.ModelType.V_PREDICTION
    small = load(lacking(loud, ["in.2", "out.10"])).model
    assert small.diffusion_model.spec.prediction == "v"
    marked = full_unet("sdxl")[1] | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    assert load(marked).model.model_type == comfy.model_base.ModelType.V_PREDICTION


def test_large_tensors_in_fp8_are_widened_in_a_file_of_ours(native, full_unet, load):
    _, tensors = full_unet("sd15")
    packed = {name: tensor.to(torch.float8_e4m3fn if tensor.numel() >= 4096 else torch.float16)
              for name, tensor in tensors.items()}
    patcher = load(packed, {native.SPEC_METADATA_KEY: native.preset_spec("sd15", 32).json()})
    assert {tensor.element_size() for tensor in packed.values()} == {1, 2}
    states = patcher.model.diffusion_model.state_dict()
    assert {tensor.dtype for tensor in states.values()} == {patcher.model.get_dtype()}
    for name, tensor in states.items():
        assert torch.equal(tensor, packed[name].to(tensor.dtype)), name
    assert patcher.model.get_dtype().itemsize > 1
