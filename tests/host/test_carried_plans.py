"""Pictures that a real server saves carry the plans of the runs behind them, and no others, without a node of the pack
between sampler and picture."""

import io
import json

import numpy as np
import pytest
from comfy_client import ComfyClient
from comfy_server import ComfyServer, make_base_directory
from demo_models import demo_models
from graphs import INHERITANCE, SAMPLING, Graph
from PIL import Image

STEPS = 6
METADATA = {"workflow": {"nodes": []}}
INTERVAL = {"mode": "uniform", "interval": 2}


def carried(data: bytes):
    """What a PNG says of plans: {node id: [plan]}; None where it says nothing."""
    text = Image.open(io.BytesIO(data)).text.get("asdm_plans")
    return None if text is None else json.loads(text)


class Pictures:
    """Prompts on one server, and what the pictures that they save carry."""

    def __init__(self, client):
        self.client = client

    def saved(self, graph, saver, metadata=METADATA):
        """(the run, the picture's bytes)."""
        run = self.client.run(graph.prompt, metadata=metadata)
        assert run.status == "success", run.error
        return run, self.client.images(run, saver)[0]


@pytest.fixture
def pictures(host):
    return Pictures(host.client)


def inheriting(seed=7, prefix="plans", **inheritance):
    """(graph, id of its sampler, id of the node that saves)."""
    graph = Graph()
    model = graph.inherit(graph.load_unet(weight_dtype="fp32"), **INTERVAL | inheritance)
    latent = graph.sample_text(model, steps=STEPS, seed=seed)
    return graph, latent[0], graph.save_image(graph.decode(latent, graph.load_vae()), prefix)


def following(plan: str):
    graph = Graph()
    model = graph.add("ASDMApplyPlan", model=graph.load_unet(weight_dtype="fp32"), plan=plan)
    latent = graph.sample_text(model, steps=STEPS)
    return graph, latent[0], graph.save_image(graph.decode(latent, graph.load_vae()), "replayed")


def custom_sampled(graph, model, inherits=True):
    sampler = graph.add("KSamplerSelect", sampler_name="euler")
    if inherits:
        settings = INHERITANCE | {"sites": "out.6", "mode": "uniform"}
        sampler = graph.add("ASDMWrapSampler", sampler=sampler, plan="", **settings)
    sigmas = graph.add("BasicScheduler", model=model, scheduler="normal", steps=STEPS, denoise=1.0)
    clip = graph.load_clip()
    return graph.add("SamplerCustom", model=model, add_noise=True, noise_seed=3, cfg=4.0, sampler=sampler,
                     sigmas=sigmas, positive=graph.encode(clip, "strawberry"), negative=graph.encode(clip, ""),
                     latent_image=graph.empty_latent())


def test_the_picture_gives_its_run_again(pictures):
    graph, sampler, saver = inheriting()
    _, data = pictures.saved(graph, saver)
    ((node, (plan,)),) = carried(data).items()
    assert node == sampler
    assert [bool(one["sites"]) for one in plan["evaluations"]] == [False, True] * (STEPS // 2)
    assert json.loads(Image.open(io.BytesIO(data)).text["workflow"]) == METADATA["workflow"]
    graph, sampler, saver = following(json.dumps(plan))
    _, again = pictures.saved(graph, saver)
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(one))) for one in (data, again)))
    assert carried(again) == {sampler: [plan]}


def test_each_sampler_of_a_graph_has_its_plan(pictures):
    graph, first, saver = inheriting(seed=8)
    exact = graph.load_unet(weight_dtype="fp32")
    second = custom_sampled(graph, exact)
    third = custom_sampled(graph, exact, inherits=False)
    summed = graph.add("LatentAdd", samples1=second, samples2=third)
    both = graph.add("LatentAdd", samples1=[first, 0], samples2=summed)
    saver = graph.save_image(graph.decode(both, graph.load_vae()), "both")
    _, data = pictures.saved(graph, saver)
    found = carried(data)
    assert sorted(found) == sorted([first, second[0]]), "the exact run inherits nothing"
    sites = {node: {site for one in plan["evaluations"] for site in one["sites"]} for node, (plan,) in found.items()}
    assert sites[second[0]] == {"out.6"}
    assert sites[first] != {"out.6"}


def test_what_the_cache_gives_keeps_the_plan_of_the_run_that_made_it(pictures):
    graph, sampler, saver = inheriting(seed=9)
    _, made = pictures.saved(graph, saver)
    graph, sampler, saver = inheriting(seed=9, prefix="other")
    run, again = pictures.saved(graph, saver)
    assert sampler in run.cached
    assert saver not in run.cached
    assert carried(again) == carried(made)
    graph, sampler, saver = inheriting(seed=9, prefix="third", interval=3)
    run, other = pictures.saved(graph, saver)
    assert sampler not in run.cached
    (plan,) = carried(other)[sampler]
    assert [plan] != carried(made)[sampler]
    graph, sampler, saver = inheriting(seed=9, prefix="exact", interval=3, speed="exact")
    _, exact = pictures.saved(graph, saver)
    assert carried(exact) is None


def test_a_calibrated_plan_is_carried_and_what_was_tried_for_it_is_not(pictures):
    graph = Graph()
    model, clip = graph.load_unet(weight_dtype="fp32"), graph.load_clip()
    asked = {"positive": graph.encode(clip, "strawberry"), "negative": graph.encode(clip, ""),
             "latent_image": graph.empty_latent(), **SAMPLING, "steps": STEPS}
    plan = graph.add("ASDMCalibratePlan", model=model, target_speedup=1.3, **asked)
    latent = graph.add("KSampler", model=graph.add("ASDMApplyPlan", model=model, plan=plan), **asked)
    saver = graph.save_image(graph.decode(latent, graph.load_vae()), "calibrated")
    _, data = pictures.saved(graph, saver)
    assert list(carried(data)) == [latent[0]]


def test_a_prompt_without_metadata_runs_as_ever(pictures):
    graph, _, saver = inheriting(seed=10)
    _, data = pictures.saved(graph, saver, metadata=None)
    assert sorted(Image.open(io.BytesIO(data)).text) == ["prompt"]


def test_a_server_that_writes_no_metadata_writes_none():
    base = make_base_directory("host-no-metadata", demo_models())
    with ComfyServer(base, flags=("--disable-metadata",)) as server:
        graph, _, saver = inheriting()
        _, data = Pictures(ComfyClient(server.address)).saved(graph, saver)
        assert Image.open(io.BytesIO(data)).text == {}
        assert "asdm_plans" not in server.log()
