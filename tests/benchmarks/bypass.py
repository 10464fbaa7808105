"""A graph without this pack's nodes gives the same bits whether the pack was never loaded, is loaded, or has just run
in the same server process: real ComfyUI servers, latents compared bit for bit.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))
import tiny_models  # noqa: E402
from comfy_client import ComfyClient  # noqa: E402
from comfy_server import ComfyServer, make_base_directory  # noqa: E402
from demo_models import demo_models  # noqa: E402
from graphs import Graph  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


def stock_graph(*nodes) -> tuple[Graph, str]:
    """A stock graph; `nodes` names what stands between the loader and the sampler."""
    graph = Graph()
    model = graph.add("UNETLoader", unet_name=tiny_models.STOCK_UNET, weight_dtype="default")
    if "native" in nodes:
        model = graph.add("ASDMNativeUNet", model=model, compute_dtype="auto")
    if "inheritance" in nodes:
        model = graph.inherit(model, interval=2, sites="mid")
    return graph, graph.save_latent(graph.sample_text(model, "taco", steps=4))


def latent_hash(server, *nodes) -> str:
    """Samples anew in `server`; SHA-256 of the latent's bytes."""
    client = ComfyClient(server.address)
    forget = Graph()
    forget.show_text("nothing")
    client.run(forget.prompt)  # the host's cache of results holds the last prompt's alone
    graph, save_id = stock_graph(*nodes)
    run = client.run(graph.prompt)
    if run.status != "success":
        raise RuntimeError(run.error)
    entry = run.outputs[save_id]["latents"][0]
    file = server.base_directory / entry["type"] / entry["subfolder"] / entry["filename"]
    return hashlib.sha256(load_file(file)["latent_tensor"].numpy().tobytes()).hexdigest()


def main():
    with tempfile.TemporaryDirectory() as folder:
        models = demo_models()
        models["diffusion_models"] = [tiny_models.write_stock_unet(Path(folder) / tiny_models.STOCK_UNET)]
        with ComfyServer(make_base_directory("bench-without-pack", models, with_pack=False)) as server:
            never_loaded = latent_hash(server)
        with ComfyServer(make_base_directory("bench-with-pack", models)) as server:
            rows = {"loaded, not used": latent_hash(server), "native": latent_hash(server, "native"),
                    "removed after native": latent_hash(server),
                    "inheritance": latent_hash(server, "native", "inheritance"),
                    "removed after inheritance": latent_hash(server)}
    unused = [name for name in rows if name != "native" and name != "inheritance"]
    # The engine's own result differs in the last bits and inheritance in more: else the nodes did nothing.
    holds = all(rows[name] == never_loaded for name in unused) and rows["inheritance"] != never_loaded
    print(json.dumps({"benchmark": "bypass", "holds": holds, "never_loaded": never_loaded, **rows}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
