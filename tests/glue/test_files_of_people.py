"""ASDM Load UNet on what people have: prefixes, training leftovers, scaled fp8, damaged files, and files that change
while their UNet is in use."""

import json
import logging
import struct

import pytest
import safetensors
import torch
from hosted_model import HostedModel
from safetensors.torch import load_file, save_file

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture(scope="module")
def tensors(hosted):
    return {name: tensor.clone() for name, tensor in hosted.patcher.model.diffusion_model.state_dict().items()}


@pytest.fixture
def load(hosted, tmp_path):
    """The MODEL of a file, which `write(path)` makes."""
    path = tmp_path / "unet.safetensors"

    def loaded(write):
        write(path)
        return hosted.load_file(path)
    return loaded


def weights_of(model):
    return model.model.diffusion_model.state_dict()


def expect(model, tensors):
    loaded = weights_of(model)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def in_diffusers(hosted, tensors):
    import comfy.utils

    table = {ldm: theirs for theirs, ldm in comfy.utils.unet_to_diffusers(
        hosted.patcher.model.model_config.unet_config).items()}
    return {table[name]: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("prefix", [
    "model.diffusion_model.", "diffusion_model.", "unet.", "model.", "net.", "module.", "model.model.", "unet.unet.",
    "model.diffusion_model.model.diffusion_model.", "module.model.diffusion_model.", "_orig_mod.module."])
@pytest.mark.parametrize("naming", ["ldm", "diffusers"])
def test_prefixes(hosted, tensors, load, prefix, naming):
    named = tensors if naming == "ldm" else in_diffusers(hosted, tensors)
    beside = {"first_stage_model.encoder.conv_in.weight": torch.zeros(4, 4, 3, 3), "vae.conv_in.weight": torch.zeros(1)}
    expect(load(lambda path: save_file({prefix + name: t for name, t in named.items()} | beside, path)), tensors)


def test_an_unknown_prefix_is_named(tensors, load):
    with pytest.raises(ValueError, match=r"unet\.safetensors: .*the unknown prefix 'control_model\.'"):
        load(lambda path: save_file({f"control_model.{name}": tensor for name, tensor in tensors.items()}, path))


def test_what_training_leaves_is_left_out_and_named(tensors, load, caplog):
    left = {"model_ema.decay": torch.ones(()), "model_ema.diffusion_modelinput_blocks00weight": torch.ones(2),
            "optimizer_states.0.exp_avg": torch.ones(3), "global_step": torch.ones(1, dtype=torch.int64),
            "alphas_cumprod": torch.ones(4), "lr_schedulers": torch.ones(1)}
    with caplog.at_level(logging.WARNING, "asdm"):
        expect(load(lambda path: save_file(tensors | left, path)), tensors)
    for name in left:
        assert name in caplog.text


def test_the_guidance_embedding_of_a_latent_consistency_model_is_named(hosted, tensors, load, caplog):
    extra = {"time_embedding.cond_proj.weight": torch.ones(32, 256)}
    with caplog.at_level(logging.WARNING, "asdm"):
        expect(load(lambda path: save_file(in_diffusers(hosted, tensors) | extra, path)), tensors)
    assert "left out what no UNet has: time_embedding.cond_proj.weight" in caplog.text


def scaled(tensors, suffix, dtype, by_row=False):
    """(in fp8 with scales as the host's files have them, the values that they stand for)."""
    stored, meant = {}, {}
    for name, tensor in tensors.items():
        meant[name] = tensor
        if name.endswith(".weight") and "transformer_blocks" in name and tensor.dim() == 2:
            scale = (tensor.abs().amax(1) if by_row else tensor.abs().max()) / 100
            rows = scale.view(-1, 1)
            stored[name] = (tensor / rows).to(dtype)
            stored[name.removesuffix("weight") + suffix] = scale
            meant[name] = stored[name].float() * rows
        else:
            stored[name] = tensor
    return stored, meant


@pytest.mark.parametrize("dtype", FP8)
@pytest.mark.parametrize("suffix", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("by_row", [False, True])
def test_scaled_fp8(hosted, tensors, load, suffix, dtype, by_row):
    stored, meant = scaled(tensors, suffix, dtype, by_row)
    first = next(name for name in stored if name.endswith(suffix)).removesuffix(suffix)
    metadata = None
    if suffix == "scale_weight":
        stored |= {"scaled_fp8": torch.zeros(2, dtype=dtype), f"{first}scale_input": torch.ones(())}
    else:
        layers = {name.removesuffix(f".{suffix}"): {"format": "float8_e4m3fn"}
                  for name in stored if name.endswith(suffix)}
        metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
        stored |= {f"{first}input_scale": torch.ones(()), f"{first}comfy_quant": torch.tensor(
            list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)}
    for named in (stored, {f"model.diffusion_model.{name}": tensor for name, tensor in stored.items()}):
        model = load(lambda path, named=named: save_file(named, path, metadata))
        expect(model, {name: tensor.to(model.model.get_dtype()) for name, tensor in meant.items()})


def test_scaled_fp8_is_what_the_host_makes_of_it(tensors):
    """Its own module of a scaled linear."""
    import comfy.ops

    stored, meant = scaled(tensors, "scale_weight", torch.float8_e4m3fn)
    name = next(name for name in stored if name.endswith("to_q.scale_weight")).removesuffix(".scale_weight")
    weight = stored[f"{name}.weight"]
    if not hasattr(comfy.ops, "scaled_fp8_ops"):
        return  # newer hosts read these into tensors of their own kind
    linear = comfy.ops.scaled_fp8_ops(fp8_matrix_mult=False, override_dtype=torch.float8_e4m3fn).Linear(
        weight.shape[1], weight.shape[0], bias=False, dtype=torch.float32)
    linear.load_state_dict({"weight": weight, "scale_weight": stored[f"{name}.scale_weight"]})
    x = torch.randn(3, weight.shape[1])
    assert torch.allclose(linear(x), torch.nn.functional.linear(x, meant[f"{name}.weight"]), rtol=1e-4, atol=1e-6)


def test_other_quantisation_is_named(tensors, load):
    stored, _ = scaled(tensors, "weight_scale", torch.float8_e4m3fn)
    name = next(name for name in stored if name.endswith("weight_scale")).removesuffix("_scale")
    stored[name] = torch.zeros(stored[name].shape, dtype=torch.int8)
    with pytest.raises(ValueError, match=rf"unet\.safetensors: .*{name} in torch\.int8 with a scale of shape \(\)"):
        load(lambda path: save_file(stored, path))


def test_a_loaded_unet_is_not_tied_to_its_file(hosted, tensors, load, tmp_path):
    model = load(lambda path: save_file(tensors, path))
    before = hosted.sample(model)
    path = tmp_path / "unet.safetensors"
    other = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    save_file(other, tmp_path / "other.safetensors")
    content = (tmp_path / "other.safetensors").read_bytes()
    with path.open("r+b") as file:  # in place
        file.write(content)
    assert torch.equal(hosted.sample(model), before)
    with path.open("r+b") as file:
        file.truncate(100)
    assert torch.equal(hosted.sample(model), before)
    expect(model, tensors)


def header_of(tensors):
    """A header and its data, to be spoiled."""
    header, at = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    return header, b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors.values())


def packed(header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (struct.pack("<Q", len(text)) if length is None else length) + text + data


def changed(name, **changes):
    def spoil(header, data):
        header[name].update(changes)
        return packed(header, data)
    return spoil


LAST = "out.2.bias"
DAMAGE = {
    "empty": lambda header, data: b"",
    "three bytes": lambda header, data: b"abc",
    "cut in the header": lambda header, data: packed(header, data)[:500],
    "cut in the data": lambda header, data: packed(header, data)[:-5],
    "trailing bytes": lambda header, data: packed(header, data + b"more"),
    "big-endian length": lambda header, data: packed(header, data, struct.pack(">Q", len(json.dumps(header)))),
    "zero length": lambda header, data: packed(header, data, bytes(8)),
    "no JSON": lambda header, data: packed(b"{nothing}", data),
    "UTF-16": lambda header, data: packed(json.dumps(header).encode("utf-16"), data),
    "byte order mark": lambda header, data: packed(b"\xef\xbb\xbf" + json.dumps(header).encode(), data),
    "a list": lambda header, data: packed(b"[1]", data),
    "a name that is no UTF-8": lambda header, data: packed(
        json.dumps(header).encode().replace(b"out.2.bias", b"out.\xff"), data),
    "a name twice": lambda header, data: packed(
        json.dumps(header).encode()[:-1] + b',"out.2.bias":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', data),
    "a negative offset": changed(LAST, data_offsets=[-16, 0]),
    "offsets the wrong way": changed(LAST, data_offsets=[16, 0]),
    "an offset past the end": changed(LAST, data_offsets=[0, 1 << 40]),
    "overlapping tensors": changed(LAST, data_offsets=[0, 16]),
    "a shape that does not fit": changed(LAST, shape=[5]),
    "a huge shape": changed(LAST, shape=[1 << 62, 1 << 62]),
    "a negative shape": changed(LAST, shape=[-4]),
    "an unknown dtype": changed(LAST, dtype="F33"),
    "an integer": changed(LAST, dtype="I32"),
    "a scalar": changed(LAST, shape=[]),
    "Git LFS": lambda header, data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167536\n",
    "a web page": lambda header, data: b"<!DOCTYPE html><html><body>Access denied</body></html>",
    "pickle": lambda header, data: b"\x80\x02}q\x00X\x05\x00\x00\x00stateq\x01" + bytes(100),
    "archive of torch": lambda header, data: b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_errors_that_name_them(tensors, load, damage):
    with pytest.raises(ValueError, match=r"unet\.safetensors"):
        load(lambda path: path.write_bytes(DAMAGE[damage](*header_of(tensors))))


@pytest.mark.parametrize(("damage", "what"), [
    ("Git LFS", "a Git LFS pointer"), ("a web page", "a web page"), ("pickle", "a pickle checkpoint"),
    ("archive of torch", "a pickle checkpoint")])
def test_files_of_other_kinds_are_named_for_what_they_are(tensors, load, damage, what):
    with pytest.raises(ValueError, match=rf"expected a safetensors file, got {what}"):
        load(lambda path: path.write_bytes(DAMAGE[damage](*header_of(tensors))))


def test_a_file_that_changes_between_two_looks_is_named(native, hosted, tensors, load, monkeypatch):
    read = safetensors.safe_open

    def replaced(path, *args, **kwargs):
        save_file({"something": torch.zeros(1)}, path)
        return read(path, *args, **kwargs)

    monkeypatch.setattr(safetensors, "safe_open", replaced)
    with pytest.raises(ValueError, match=r"unet\.safetensors: expected a whole safetensors file"):
        load(lambda path: save_file(tensors, path))


def test_nothing_is_unpickled_whatever_its_name(native, hosted, tensors, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    path = tmp_path / "unet.ckpt"
    save_file(tensors, path)

    class Folder(type(hosted.host)):
        def list_models(self, folder):
            return [path.name]

        def model_path(self, folder, name):
            return str(path)

    expect(native.execute("ASDMLoadUNet", Folder(), {"unet_name": path.name})["outputs"][0], tensors)


def test_names_that_are_no_text(native, hosted, tensors, tmp_path):
    """Bytes that are no UTF-8 in the name of a file, and half a character in an input."""
    path = tmp_path / "caf\udce9.safetensors"
    save_file(tensors, tmp_path / "plain.safetensors")
    (tmp_path / "plain.safetensors").rename(path)

    class Folder(type(hosted.host)):
        def list_models(self, folder):
            return [path.name, "\u4e2d\u6587.safetensors"]

        def model_path(self, folder, name):
            return str(path)

    with pytest.raises(ValueError, match=r"caf.\.safetensors.*not valid UTF-8"):  # the library's limit, as in the host
        native.execute("ASDMLoadUNet", Folder(), {"unet_name": path.name})
    for name, shown in (("missing\udcff", "missing\ufffd"), ("\u201cquoted\u201d", "\u201cquoted\u201d"),
                        ("half \ud83d", "half \ufffd\ufffd\ufffd")):
        with pytest.raises(ValueError, match=rf"ASDMLoadUNet\.unet_name: expected .*{shown}"):
            native.execute("ASDMLoadUNet", Folder(), {"unet_name": name})
    for text in ("{\"a\": \"\ud800\"}", "\u201c{}\u201d", "{\"forma", "\udcff", "\ufeff", "\ufeff{}", "\u00a0{}"):
        with pytest.raises(ValueError, match="ASDMApplyPlan"):
            native.execute("ASDMApplyPlan", hosted.host, {"model": hosted.patcher, "plan": text})


def test_a_spec_that_would_cost_much_is_refused_shortly(native, tensors, load):
    spec = json.loads(native.preset_spec("sd15", 32).json())
    spec |= {"channel_mult": [1] * 16, "num_res_blocks": [64] * 16, "transformer_depth": [64] * 1024,
             "transformer_depth_output": [64] * 1040, "removed": [f"in.{i}" for i in range(1, 500)]}
    with pytest.raises(ValueError, match=r"unet\.safetensors: .*num_res_blocks: expected 1 to 128") as refusal:
        load(lambda path: save_file(tensors, path, {native.SPEC_METADATA_KEY: json.dumps(spec)}))
    assert len(str(refusal.value)) < 10_000


def test_a_file_of_the_tests_is_read_whole(tensors, tmp_path):
    """The helper that spoils files writes sound ones."""
    path = tmp_path / "sound.safetensors"
    path.write_bytes(packed(*header_of(tensors)))
    assert load_file(path).keys() == tensors.keys()
