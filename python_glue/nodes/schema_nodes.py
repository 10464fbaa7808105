"""Makes ComfyUI V3 node classes from schemas.json, the schemas of the C++ nodes, which lie here so that
nodes appear in a pack that is not built, too.

Knows how a schema looks and how values cross into C++; what a node does is in nodes/.
"""

import json
import logging
import os
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path

from ..host.compat import ComfyExtension, host_list, io, known_to_schema, model_file, model_files, ui
from ..host.server import join_server
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
# Keys of an input that web/ reads.
FOR_THE_FRONT_END = ("folded", "used_when")

logger = logging.getLogger("asdm")


class ASDMExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        if fault := installed_fault():
            logger.error("ComfyUI-ASDM: %s; %s.", fault, CURE)
        join_server()
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
            is_experimental=schema["is_experimental"],
            **known_to_schema(search_aliases=schema["search_aliases"]),
        )

    def execute(cls, **inputs) -> io.NodeOutput:
        return run_node(cls, schema, inputs)

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
    if checked := [given["name"] for given in schema["inputs"] if given.get("checked_early")]:
        members["validate_inputs"] = classmethod(checking(schema["id"], checked))
    return type(schema["id"], (io.ComfyNode,), members)


def checking(node_id: str, checked: list[str]) -> Callable:
    """A V3 `validate_inputs` that looks at the widgets `checked` when a prompt is queued: True, or what is wrong. They
    are in its signature, by which the host tells what to hand over and not to check by itself."""
    def validate_inputs(cls, **widgets) -> bool | str:
        if installed_fault() or None in widgets.values():  # what comes by a link is known when it runs
            return True
        try:
            native_module().check(node_id, widgets)
        except ValueError as error:
            return str(error)
        return True

    names = [Parameter("cls", Parameter.POSITIONAL_OR_KEYWORD),
             *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in checked)]
    validate_inputs.__signature__ = Signature(names)
    return validate_inputs


def make_input(given: dict) -> io.Input:
    options = {key: given[key] for key in PASSED_ON if key in given}
    if "choices_folder" in given:
        options["options"] = model_files(given["choices_folder"])
    elif "choices_list" in given:
        options["options"] = host_list(given["choices_list"])
    elif "choices" in given:
        options["options"] = given["choices"]
    made = TYPES[given["kind"]].Input(given["name"], **options)
    # For the pack's own scripts: the host hands on what it does not know.
    made.extra_dict = {key: given[key] for key in FOR_THE_FRONT_END if key in given}
    return made


def make_output(given: dict) -> io.Output:
    return TYPES[given["kind"]].Output(display_name=given["name"], tooltip=given["tooltip"])


def run_node(cls: type[io.ComfyNode], schema: dict, inputs: dict) -> io.NodeOutput:
    """Runs the node of a schema in C++; `cls` is its class. Errors reach ComfyUI, and so the user, as they are."""
    native = native_module()
    from ..host.comfy_host import comfy_host  # the native module is there: only now may the host be imported

    result = native.execute(schema["id"], comfy_host(schema["tells_runs"]), inputs)
    return io.NodeOutput(*result["outputs"], ui=shown(cls, result["ui_text"], result["ui_image"]) or None)


def shown(cls: type[io.ComfyNode], text: str | None, image) -> dict:
    """What the front end shows on the node."""
    parts = {} if text is None else ui.PreviewText(text).as_dict()
    if image is not None:
        parts |= ui.PreviewImage(image, cls=cls).as_dict()
    return parts


def file_fingerprint(folder: str, name: str | None) -> tuple | None:
    """(path, mtime, size): a file that is replaced under its name is loaded anew. None where there is no such file."""
    path = None if name is None else model_file(folder, name)
    if path is None:
        return None
    status = os.stat(path)
    return (path, status.st_mtime, status.st_size)
