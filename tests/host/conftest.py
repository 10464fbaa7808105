"""One real ComfyUI server per test module, with the pack, the demo model and whatever files the module adds."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from comfy_client import ComfyClient, PromptRefused
from comfy_server import ComfyServer, comfy_folder, make_base_directory
from demo_models import UNET, demo_models
from graphs import Graph
from PIL import Image
from safetensors.torch import load_file


class Host:
    """A running server, its client, and what tests ask of both."""

    def __init__(self, server):
        self.server = server
        self.client = ComfyClient(server.address)

    def run(self, graph, **options):
        """Runs a graph that has to succeed."""
        run = self.client.run(graph.prompt, **options)
        assert run.status == "success", f"{run.error.get('node_type')}: {run.error.get('exception_message')}"
        return run

    def fail(self, graph):
        """Runs a graph that has to fail at one of its nodes; returns the error as the front end gets it."""
        run = self.client.run(graph.prompt)
        assert run.status == "error"
        assert self.server.is_alive()
        return run.error

    def complaint(self, graph, node_class):
        """What is said at the only node of `node_class`, which has to fail: by the node itself, or by a host that
        looks at the values before anything runs."""
        try:
            error = self.fail(graph)
        except PromptRefused as refusal:
            (node_id,) = [key for key, node in graph.prompt.items() if node["class_type"] == node_class]
            return "\n".join(refusal.messages(node_id))
        assert error["node_type"] == node_class
        return error["exception_message"]

    def latent(self, run, save_id):
        """The tensor a SaveLatent node wrote."""
        entry = run.outputs[save_id]["latents"][0]
        return load_file(self.server.base_directory / entry["type"] / entry["subfolder"] / entry["filename"])[
            "latent_tensor"
        ]

    def sample(self, graph, latent):
        """Samples a graph anew and returns the latent at the link `latent`."""
        save_id = graph.save_latent(latent)
        run = self.run(graph)
        if latent[0] in run.cached:
            self.forget()
            run = self.run(graph)
        assert latent[0] not in run.cached
        return self.latent(run, save_id)

    def forget(self):
        """Empties the host's cache of node results, which holds nothing but the last prompt's."""
        graph = Graph()
        graph.show_text("nothing")
        self.run(graph)

    def pictures(self, run, save_id):
        return [np.asarray(Image.open(io.BytesIO(data))) for data in self.client.images(run, save_id)]


@pytest.fixture(scope="session")
def test_models(tmp_path_factory):
    """Model folder -> the small files that the tests add to the demo model's."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "diffusion_models": [
            tiny_models.write_stock_unet(folder / tiny_models.STOCK_UNET),
            tiny_models.write_dit(folder / tiny_models.DIT),
            tiny_models.write_no_model(folder / tiny_models.NO_MODEL),
            tiny_models.write_broken_file(folder / tiny_models.BROKEN),
        ],
        "loras": [tiny_models.write_lora(folder / tiny_models.LORA, UNET)],
        "controlnet": [tiny_models.write_control_net(folder / tiny_models.CONTROL_NET, UNET)],
    }


@pytest.fixture(scope="module")
def host(request, test_models):
    models = demo_models()
    for kind, files in test_models.items():
        models[kind] = [*models.get(kind, []), *files]
    base = make_base_directory(f"host-{Path(request.node.name).stem}", models)
    shutil.copy(comfy_folder() / "input" / "example.png", base / "input")
    with ComfyServer(base) as server:
        yield Host(server)
