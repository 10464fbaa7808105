"""The nodes as ComfyUI sees them. Needs no build: schemas lie in the repository."""

import asyncio
import inspect
import json
import logging
import os
import re
import subprocess
import sys

import pytest
from repository import REPO

NODES = ["ASDMLoadUNet", "ASDMNativeUNet", "ASDMFeatureInheritance", "ASDMApplyPlan", "ASDMCalibratePlan",
         "ASDMWrapSampler", "ASDMSwitchUNets", "ASDMReport", "ASDMCompareImages", "ASDMAssembleUNet", "ASDMMECondConv",
         "ASDMDistillUNet", "ASDMSaveUNet"]


@pytest.fixture(scope="module")
def schemas(glue):
    return glue("nodes.schema_nodes").read_schemas()


@pytest.fixture(scope="module")
def classes(pack, schemas):
    async def served():
        extension = await pack.comfy_entrypoint()
        return await extension.get_node_list()

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(served())}


def test_schemas_are_complete(schemas):
    assert [node["id"] for node in schemas] == NODES
    for node in schemas:
        assert node["category"].split("/")[0] == "ASDM"
        assert node["description"]
        for slot in node["inputs"] + node["outputs"]:
            assert slot["tooltip"], f"{node['id']}.{slot['name']}"
        for given in node["inputs"]:
            widget = given["kind"] not in ("MODEL", "LATENT", "CONDITIONING", "SAMPLER", "IMAGE")
            assert widget == bool({"default", "choices_folder", "choices_list"} & given.keys()), given["name"]


def test_v3_classes_serve_what_the_schemas_say(classes, schemas):
    assert list(classes) == NODES
    for schema in schemas:
        served = classes[schema["id"]].INPUT_TYPES()
        for kind, optional in (("required", False), ("optional", True)):
            names = [given["name"] for given in schema["inputs"] if given.get("optional", False) == optional]
            assert list(served.get(kind, {})) == names
        inputs = served["required"] | served.get("optional", {})
        for given in schema["inputs"]:
            kind, options = inputs[given["name"]]
            assert kind == given["kind"]
            for key in ("default", "min", "max", "step", "tooltip"):
                assert options.get(key) == given.get(key)
            if "choices" in given:
                assert options["options"] == given["choices"]
        info = classes[schema["id"]].GET_NODE_INFO_V1()
        assert info["output"] == [given["kind"] for given in schema["outputs"]]
        assert info["output_name"] == [given["name"] for given in schema["outputs"]]
        assert info["output_node"] == schema["is_output_node"]
        assert info["experimental"] == schema["is_experimental"]
        assert info["category"] == schema["category"]
        for given in schema["inputs"]:
            for key in ("folded", "used_when"):
                assert inputs[given["name"]][1].get(key) == given.get(key), given["name"]


def test_what_people_type_reaches_hosts_that_know_aliases(glue, schemas, monkeypatch):
    compat, nodes, seen = glue("host.compat"), glue("nodes.schema_nodes"), []

    class Schema(compat.io.Schema):
        def __init__(self, *, search_aliases=(), **given):
            super().__init__(**given)
            seen.append(search_aliases)

    monkeypatch.setattr(compat.io, "Schema", Schema)
    for schema in schemas:
        nodes.make_node(schema).GET_SCHEMA()
    assert [aliases for aliases in seen if aliases] == [schema["search_aliases"] for schema in schemas]


def checked(classes, node, **widgets):
    """What the host is told when a prompt with these widgets is queued: by the names in the signature, as it does."""
    check = classes[node].validate_inputs
    names = inspect.getfullargspec(check).args
    assert not inspect.getfullargspec(check).varkw
    assert set(widgets) <= set(names)
    return check(**widgets)


WRONG = [
    ("ASDMFeatureInheritance", {"start_percent": 0.8, "end_percent": 0.2}, "end_percent: .*above start_percent .0.8."),
    ("ASDMFeatureInheritance", {"sites": "out8"}, r"sites: expected one of: .*; did you mean 'out\.8'\?"),
    ("ASDMFeatureInheritance", {"sites": "0-0.5 out.8;"}, "sites: expected phases"),
    ("ASDMFeatureInheritance", {"mode": "explicit", "full_at": "0, x"}, "full_at: "),
    ("ASDMFeatureInheritance", {"mode": "explicit"}, "full_at: expected the full evaluations"),
    ("ASDMFeatureInheritance", {"mode": "easycache", "threshold": 0.0}, "threshold: "),
    ("ASDMFeatureInheritance", {"mode": "unifrom"}, "mode: expected one of: .*; did you mean 'uniform'"),
    ("ASDMWrapSampler", {"plan": "{"}, "plan: "),
    ("ASDMWrapSampler", {"sites": "nowhere"}, "sites: expected one of"),
    ("ASDMApplyPlan", {"plan": '{"format": "asdm.plan", "version": 1}'}, "plan: "),
]


@pytest.mark.parametrize(("node", "widgets", "said"), WRONG)
def test_what_needs_no_model_is_checked_when_it_is_queued(native, classes, node, widgets, said):
    told = checked(classes, node, **({"speed": "custom"} if node != "ASDMApplyPlan" else {}) | widgets)
    assert re.match(rf"{node}\.{said}", told), told


@pytest.mark.parametrize(("node", "widgets"), [
    ("ASDMFeatureInheritance", {}),
    ("ASDMFeatureInheritance", {"speed": "2x", "sites": "nowhere", "start_percent": 0.8, "end_percent": 0.2}),
    ("ASDMFeatureInheritance", {"speed": "custom", "sites": "in.7.attn.9.ff"}),  # SDXL has it alone
    ("ASDMFeatureInheritance", {"speed": "custom", "sites": None, "end_percent": 0.0}),  # a link brings it
    ("ASDMWrapSampler", {"speed": "custom", "plan": " "}),
    ("ASDMApplyPlan", {"plan": None}),
])
def test_what_may_be_passes_the_check(native, classes, node, widgets):
    assert checked(classes, node, **widgets) is True


def test_the_loader_lists_the_hosts_files_and_notices_a_replaced_one(classes, tmp_path, comfy):
    import folder_paths

    folder_paths.add_model_folder_path("diffusion_models", str(tmp_path))
    file = tmp_path / "asdm_test.safetensors"
    file.write_bytes(b"one")
    loader = classes["ASDMLoadUNet"]
    assert "asdm_test.safetensors" in loader.INPUT_TYPES()["required"]["unet_name"][1]["options"]
    before = loader.fingerprint_inputs(unet_name="asdm_test.safetensors", weight_dtype="default", engine="native")
    assert before == [(str(file), file.stat().st_mtime, 3)]
    file.write_bytes(b"four")
    os.utime(file, (1, 1))
    after = loader.fingerprint_inputs(unet_name="asdm_test.safetensors", weight_dtype="default", engine="native")
    assert after == [(str(file), 1.0, 4)]
    assert loader.fingerprint_inputs(unet_name="gone.safetensors") == [None]


def test_every_node_has_a_doc_page_that_names_its_inputs(schemas):
    """Those that may be left out have their tooltips, and a page only where there is more to say."""
    for schema in schemas:
        page = (REPO / "web" / "docs" / f"{schema['id']}.md").read_text(encoding="utf-8")
        for given in schema["inputs"]:
            assert given.get("optional") or f"`{given['name']}`" in page, f"{schema['id']}: {given['name']}"


def test_the_front_end_shows_the_text_of_the_nodes_that_give_one(schemas):
    script = (REPO / "web" / "show_text.js").read_text(encoding="utf-8")
    named = json.loads(re.search(r"NODES = (\[.*?\])", script)[1])
    sources = [path.read_text(encoding="utf-8") for path in (REPO / "nodes").glob("*.cpp")]
    giving = {re.search(r'schema\.id = "(\w+)"', text)[1] for text in sources if ".ui_text = " in text}
    assert named == [node["id"] for node in schemas if node["id"] in giving]


def test_the_front_end_knows_the_nodes_that_tell_of_runs(schemas):
    script = (REPO / "web" / "run_text.js").read_text(encoding="utf-8")
    named = re.findall(r"\w+", re.search(r"USED_BY_SAMPLERS = \[(.*?)\]", script, re.DOTALL)[1])
    assert sorted(named) == sorted(node["id"] for node in schemas if node["tells_runs"])


@pytest.mark.parametrize("fault", ["the native module is not built", "it was built from other sources"])
def test_without_a_build_that_fits_nodes_appear_and_one_error_says_what_to_do(glue, monkeypatch, caplog, fault):
    nodes = glue("nodes.schema_nodes")
    monkeypatch.setattr(nodes, "installed_fault", lambda: fault)
    with caplog.at_level(logging.ERROR, logger="asdm"):
        served = asyncio.run(nodes.ASDMExtension().get_node_list())
    assert [node.GET_SCHEMA().node_id for node in served] == NODES
    assert [record.message for record in caplog.records if f"{fault}; run `python install.py`" in record.message]
    assert len(caplog.records) == 1


def test_the_readme_has_the_table_of_these_nodes(schemas):
    check = subprocess.run([sys.executable, REPO / "scripts" / "node_table.py", "--check"], capture_output=True,
                           text=True)
    assert check.returncode == 0, check.stderr


def test_a_node_says_why_it_cannot_run(classes, glue, monkeypatch, tmp_path):
    loader = glue("native")
    loader.native_module.cache_clear()
    monkeypatch.setattr(loader, "BUILD_INFO", tmp_path / "build_info.json")
    with pytest.raises(RuntimeError, match=r"not built; run `python install\.py`"):
        classes["ASDMNativeUNet"].execute(model=object(), compute_dtype="auto")
