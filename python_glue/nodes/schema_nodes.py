"""Makes ComfyUI V3 node classes from schemas.json, the schemas of the C++ nodes, which lie here so that
nodes appear in a pack that is not built, too.

Knows how a schema looks and how values cross into C++; what a node does is in nodes/.
"""

import json
import logging
import os
from pathlib import Path

from ..host.compat import ComfyExtension, host_list, io, model_file, model_files, ui
from ..native import CURE, installed_fault, native_module

SCHEMAS = Path(__file__).parents[1] / "schemas.json"
TYPES = {
    "MODEL": io.Model,
    "LATENT": io.Latent,
    "CONDITIONING": io.Conditioning,
    "SAMPLER": io.Sampler,
    "IMAGE": io.Image,
    "STRING": io.String,
    "INT": io.Int,
    "FLOAT": io.Float,
    "COMBO": io.Combo,
}
# Keys of an input that ComfyUI's input classes take under the same name.
PASSED_ON = ("tooltip", "default", "min", "max", "step", "multiline", "control_after_generate", "optional")
# Where the host keeps what pictures carry beside the workflow: the plans of the runs behind them, in order.
PLANS = "asdm_plans"

logger = logging.getLogger("asdm")


class ASDMExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        if fault := installed_fault():
            logger.error("ComfyUI-ASDM: %s; %s.", fault, CURE)
        return [make_node(schema) for schema in read_schemas()]


async def comfy_entrypoint() -> ASDMExtension:
    """What ComfyUI calls to learn the pack's nodes."""
    return ASDMExtension()


def read_schemas() -> list[dict]:
    return json.loads(SCHEMAS.read_text(encoding="utf-8"))["nodes"]


def make_node(schema: dict) -> type[io.ComfyNode]:
    """A V3 class for one node. Stateless, as ComfyUI locks the classes it hosts."""
    folders = {given["name"]: given["choices_folder"] for given in schema["inputs"] if "choices_folder" in given}

    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=schema["id"],
            display_name=schema["display_name"],
            category=schema["category"],
            description=schema["description"],
            inputs=[make_input(given) for given in schema["inputs"]],
            outputs=[make_output(given) for given in schema["outputs"]],
            is_output_node=schema["is_output_node"],
        )

    def execute(cls, **inputs) -> io.NodeOutput:
        return run_node(cls, schema["id"], inputs)

    def fingerprint_inputs(cls, **inputs) -> list:
        return [file_fingerprint(folder, inputs.get(name)) for name, folder in folders.items()]

    members = {
        "__doc__": schema["description"],
        "__module__": __name__,
        "define_schema": classmethod(define_schema),
        "execute": classmethod(execute),
    }
    if folders:
        members["fingerprint_inputs"] = classmethod(fingerprint_inputs)
    return type(schema["id"], (io.ComfyNode,), members)


def make_input(given: dict) -> io.Input:
    options = {key: given[key] for key in PASSED_ON if key in given}
    if "choices_folder" in given:
        options["options"] = model_files(given["choices_folder"])
    elif "choices_list" in given:
        options["options"] = host_list(given["choices_list"])
    elif "choices" in given:
        options["options"] = given["choices"]
    return TYPES[given["kind"]].Input(given["name"], **options)


def make_output(given: dict) -> io.Output:
    return TYPES[given["kind"]].Output(display_name=given["name"], tooltip=given["tooltip"])


def run_node(cls: type[io.ComfyNode], node_id: str, inputs: dict) -> io.NodeOutput:
    """Runs a node in C++; `cls` is its class. Errors reach ComfyUI, and so the user, as they are."""
    native = native_module()
    from ..host.comfy_host import comfy_host  # the native module is there: only now may the host be imported

    result = native.execute(node_id, comfy_host(), inputs)
    if result["plan"]:
        send_with_pictures(cls, json.loads(result["plan"]))
    return io.NodeOutput(*result["outputs"], ui=shown(cls, result["ui_text"], result["ui_image"]) or None)


def shown(cls: type[io.ComfyNode], text: str | None, image) -> dict:
    """What the front end shows on the node."""
    parts = {} if text is None else ui.PreviewText(text).as_dict()
    if image is not None:
        parts |= ui.PreviewImage(image, cls=cls).as_dict()
    return parts


def send_with_pictures(cls: type[io.ComfyNode], plan: dict):
    """Lets pictures that are saved later in this prompt carry the plan. Prompts of other clients than the front end may
    bring no place for it."""
    carried = cls.hidden.extra_pnginfo if cls.hidden else None
    if carried is not None:
        carried.setdefault(PLANS, []).append(plan)


def file_fingerprint(folder: str, name: str | None) -> tuple | None:
    """(path, mtime, size): a file that is replaced under its name is loaded anew. None where there is no such file."""
    path = None if name is None else model_file(folder, name)
    if path is None:
        return None
    status = os.stat(path)
    return (path, status.st_mtime, status.st_size)
