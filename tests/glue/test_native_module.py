"""The native module through Python: formats, nodes against a Python host, errors, lifetimes."""

import copy
import gc
import json
import sys
import weakref
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file


class Model:
    """A MODEL to the host below."""


class Host:
    """The methods of nodes/host.h over plain Python objects."""

    def __init__(self, native, path=None):
        self.path = path
        self.calls = []
        self.description = {"class_name": "UNetModel", "spec": native.preset_spec("sd15", 32), "refusal": ""}

    def expected_instead(self, kind, value):
        return None

    def list_models(self, folder):
        return ["unet.safetensors"]

    def model_path(self, folder, name):
        return str(self.path)

    def load_unet(self, path, layout, weight_dtype):
        self.calls.append(("load_unet", path, layout["spec"].model_channels, layout["names"], layout["carries_spec"],
                           weight_dtype))
        return Model()

    def describe_model(self, model):
        return self.description

    def with_native_engine(self, model, options):
        self.calls.append(("with_native_engine", type(model), options))
        return model

    def with_inheritance(self, model, inheritance, where):
        self.calls.append(("with_inheritance", where, inheritance))
        return model

    def wrap_sampler(self, sampler, inheritance, where):
        self.calls.append(("wrap_sampler", where, inheritance))
        return sampler

    def run_report(self, model, latent):
        return '{"found": false, "reason": ""}'

    def run_strip(self, report_json):
        return torch.zeros(1, 8, 8, 3)

    def compare_images(self, reference, image, gain):
        return 40.0, None, (reference - image).abs() * gain


def test_the_module_is_the_one_that_the_build_described(native, glue):
    described = json.loads(glue("native").BUILD_INFO.read_text(encoding="utf-8"))
    assert native.build_info() | {"sources": glue("source_digest").source_digest()} == described
    assert native.schemas_json() == glue("nodes.schema_nodes").SCHEMAS.read_text(encoding="utf-8")


def test_specs_cross_as_objects_and_travel_as_json(native):
    for name in ("sd15", "sd21", "sd21v", "sdxl", "sdxl_refiner"):
        spec = native.preset_spec(name, 64)
        assert json.loads(spec.json())["model_channels"] == spec.model_channels == 64
        assert spec.fields() == json.loads(spec.json())
        for same in (native.UNetSpec.from_json(spec.json()), native.UNetSpec(**spec.fields()), copy.deepcopy(spec)):
            assert same == spec
            assert hash(same) == hash(spec)
        assert spec.replace(in_channels=9) != spec
    with pytest.raises(ValueError, match=r"UNetSpec\.format"):
        native.UNetSpec.from_json("{}")
    with pytest.raises(ValueError, match=r"UNetSpec\.family.*sd1, sd2"):
        spec.replace(family="sd3")
    with pytest.raises(ValueError, match="wings"):
        spec.replace(wings=2)
    with pytest.raises(ValueError, match="one of: sd15"):
        native.preset_spec("sd9")


def test_a_bad_file_is_a_value_error_that_names_it(native, tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save({"w": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"model\.ckpt.*a pickle checkpoint"):
        native.read_unet_file(str(path))


def test_the_loader_reaches_the_host(native, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"asdm.unet_spec": native.preset_spec("sd15", 64).json()})
    host = Host(native, path)
    result = native.execute("ASDMLoadUNet", host, {"unet_name": "unet.safetensors", "weight_dtype": "fp32"})
    assert host.calls == [
        ("load_unet", str(path), 64, {"w": "w"}, True, "fp32"),
        ("with_native_engine", Model, "auto"),
    ]
    assert isinstance(result["outputs"][0], Model)
    assert result["ui_text"] is None


def test_a_request_arrives_with_every_input(native):
    host = Host(native)
    native.execute("ASDMFeatureInheritance", host, {"model": Model(), "interval": 5, "start_percent": 0})
    (schema,) = [node for node in json.loads(native.schemas_json())["nodes"] if node["id"] == "ASDMFeatureInheritance"]
    given = {field["name"]: field.get("when_missing", field["default"]) for field in schema["inputs"]
             if "default" in field} | {"interval": 5}
    assert "sites" in given
    assert {name: getattr(host.calls[0][2], name) for name in given} == given


PLAN = {"family": "sd1", "steps": 2, "value": "taylor1", "storage": "bf16",
        "evaluations": [(14.5, []), (3.25, ["out.8", "in.4.attn"])]}


def test_a_plan_arrives_as_it_is(native):
    host, plan = Host(native), native.Plan(**PLAN)
    native.execute("ASDMApplyPlan", host, {"model": Model(), "plan": plan.json()})
    native.execute("ASDMWrapSampler", host, {"sampler": Model(), "plan": plan.json()})
    assert host.calls == [("with_inheritance", "ASDMApplyPlan.plan", plan),
                          ("wrap_sampler", "ASDMWrapSampler.plan", plan)]
    assert native.Plan.from_json(plan.json()) == plan != native.Plan(**PLAN | {"steps": 3})
    assert (plan.sigmas, plan.sites) == ([14.5, 3.25], [[], ["out.8", "in.4.attn"]])


def test_a_plan_that_could_not_be_read_back_is_not_made(native):
    with pytest.raises(ValueError, match=r"plan\.evaluations: expected at least one"):
        native.Plan(**PLAN | {"evaluations": []})
    with pytest.raises(ValueError, match=r"plan\.family: expected one of: sd1"):
        native.Plan(**PLAN | {"family": "flux"})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"interval": 0}, r"ASDMFeatureInheritance\.interval: expected a number from 1 to 1000, got 0"),
        ({"interval": True}, "expected INT, got true"),
        ({"interval": 10**30}, "at most 64 bits"),
        ({"interval": [1]}, "expected INT, got an object of type list"),
        ({"mode": "wild"}, "one of: segment, uniform, .* got 'wild'"),
        ({"typo": 1}, "one of: model, level"),
        ({"model": None}, r"ASDMFeatureInheritance\.model: expected MODEL, got nothing"),
    ],
)
def test_bad_inputs_are_value_errors(native, inputs, message):
    with pytest.raises(ValueError, match=message):
        native.execute("ASDMFeatureInheritance", Host(native), {"model": Model()} | inputs)


def test_a_model_that_is_no_unet_is_a_runtime_error(native):
    host = Host(native)
    host.description = {"class_name": "Flux", "spec": None, "refusal": "no UNet"}
    with pytest.raises(RuntimeError, match=r"SD1\.x, SD2\.x, SDXL, SDXL refiner, got Flux: no UNet"):
        native.execute("ASDMNativeUNet", host, {"model": Model()})


def test_the_hosts_own_exception_passes_through_unchanged(native):
    class InterruptProcessing(BaseException):
        pass

    class Interrupted(Host):
        def describe_model(self, model):
            raise InterruptProcessing("stop")

    with pytest.raises(InterruptProcessing, match="stop"):
        native.execute("ASDMNativeUNet", Interrupted(native), {"model": Model()})


def test_the_report_passes_the_latent_on(native):
    latent = {"samples": torch.zeros(1)}
    result = native.execute("ASDMReport", Host(native), {"model": Model(), "latent": latent})
    assert result["outputs"][0] is latent
    assert "no run of this model made this latent" in result["outputs"][1]
    assert result["ui_text"] == result["outputs"][1]
    assert result["outputs"][2].shape == (1, 8, 8, 3)
    assert result["ui_image"] is result["outputs"][2]
    assert result["outputs"][3] == ""


def test_nothing_of_pythons_is_kept(native):
    model = Model()
    alive = weakref.ref(model)
    native.execute("ASDMNativeUNet", Host(native), {"model": model})
    with pytest.raises(ValueError, match="int8"):
        native.execute("ASDMNativeUNet", Host(native), {"model": model, "compute_dtype": "int8"})
    del model
    gc.collect()
    assert alive() is None


def test_an_image_node_runs_through_its_v3_class(native, glue, monkeypatch):
    fake = ModuleType("comfy_host")
    fake.comfy_host = lambda tells_runs: Host(native)
    monkeypatch.setitem(sys.modules, glue("native").__package__ + ".host.comfy_host", fake)
    nodes = glue("nodes.schema_nodes")
    schema = next(node for node in nodes.read_schemas() if node["id"] == "ASDMCompareImages")
    image = torch.rand(1, 8, 8, 3)
    output = nodes.make_node(schema).execute(reference=image, image=image.clone())
    assert output.args[0] == "PSNR 40.00 dB, SSIM needs 11 x 11 pixels"
    assert torch.equal(output.args[1], torch.zeros(1, 8, 8, 3))
    assert output.ui == {"text": ("PSNR 40.00 dB, SSIM needs 11 x 11 pixels",)}
