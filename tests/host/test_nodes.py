"""Each node of the pack does its work in prompts that a real server runs: its effect is looked at, and not only that it
ran."""

import json
import re

import numpy as np
import pytest
import torch
from closeness import MAX_RELATIVE_ERROR, relative_error
from demo_models import SMALL_UNETS, UNET
from graphs import INHERITANCE, SAMPLING, Graph
from image_scores import read_scores
from node_schemas import read_schemas
from safetensors.torch import load_file
from test_earlier_workflows import CALIBRATE_DEMO, REPLAY_DEMO, SWITCH_DEMO, read_prompt, run_pair
from test_exactness import stock_latent
from test_host_features import text_latent
from tiny_models import LORA, STOCK_UNET

STEPS = SAMPLING["steps"]
PRESET = "s0_s1"
EXPERT = "conv2_experts.1.weight"
START_ERROR = 1e-3  # of a UNet with experts that were not trained, docs/architecture.md
TRAINING = {"steps": 20, "batch_size": 4, "learning_rate": 1e-3, "seed": 0, "local_steps": 0, "implant_steps": 0,
            "task_loss": 1.0, "output_loss": 1.0, "feature_loss": 1.0, "semantic_loss": 0.0, "checkpoint": ""}
GREY = 0x40


def inherited(report: str) -> int:
    """Evaluations that inherited, by the table of ASDMReport."""
    return int(re.search(r"(\d+) inherited\)", report)[1])


def reported(host, graph, model, latent) -> str:
    """The table about the run that made `latent`."""
    _, table = graph.report(model, latent)
    shown = graph.show_text(table)
    return host.run(graph).text(shown)


def assembled(graph, model):
    return graph.add("ASDMAssembleUNet", model=model, preset=PRESET, remove="")


def saved(host, graph, model, name: str):
    """The file that ASDMSaveUNet writes of `model`, and the tensors in it."""
    shown = graph.show_text(graph.add("ASDMSaveUNet", model=model, filename_prefix=f"diffusion_models/{name}"))
    run = host.run(graph)
    (path,) = (host.server.base_directory / "output" / "diffusion_models").glob(f"{name}_*.safetensors")
    assert run.text(shown) == str(path)
    return path, load_file(path)


def short_demo(name: str) -> dict:
    """A workflow of the demo with a few steps of single pictures, as the effect shows in those too."""
    prompt = read_prompt(name)
    for node in prompt.values():
        node["inputs"].update({key: value for key, value in (("steps", STEPS), ("batch_size", 1))
                               if key in node["inputs"]})
    return prompt


def load_unet(host):
    """Two files are two UNets, each of which both engines compute alike, in the dtype that was asked for."""
    def latent(unet, engine):
        graph = Graph()
        return host.sample(graph, graph.sample_text(graph.load_unet(engine, unet.name, "fp32")))

    found = [latent(unet, "native") for unet in (UNET, *SMALL_UNETS)]
    for unet, native in zip((UNET, *SMALL_UNETS), found, strict=True):
        assert relative_error(latent(unet, "reference"), native) < MAX_RELATIVE_ERROR
    assert relative_error(found[0], found[1]) > MAX_RELATIVE_ERROR


def native_unet(host):
    """A model of the stock loader gives the host's latent, but out of native calls."""
    graph = Graph()
    model = graph.add("ASDMNativeUNet", compute_dtype="auto", model=graph.add(
        "UNETLoader", unet_name=STOCK_UNET, weight_dtype="default"))
    table = reported(host, graph, model, graph.sample_text(model, steps=3))
    assert int(re.search(r"\| native calls +\| (\d+)", table)[1]) >= 3
    assert re.search(r"\| fallback calls +\| 0 ", table)
    host_latent, native_latent = (stock_latent(host, native) for native in (False, True))
    assert relative_error(host_latent, native_latent) < MAX_RELATIVE_ERROR
    assert not torch.equal(host_latent, native_latent), "the engine's sums have another order"


def feature_inheritance(host):
    """Fewer multiply-accumulates, and another picture, which is still the same one."""
    graph = Graph()
    model = graph.inherit(graph.load_unet(weight_dtype="fp32"))
    table = reported(host, graph, model, graph.sample_text(model))
    assert inherited(table) > 0
    assert float(re.search(r"UNet MACs computed \| ([\d.]+) %", table)[1]) < 90.0
    distance = relative_error(text_latent(host, "native"), text_latent(host, "native", inherit=3))
    assert 0.0 < distance < 0.5


def apply_plan(host):
    """The plan of a run that decided as it went gives that run's picture again."""
    (recorded, replayed), _, table = run_pair(host, short_demo(REPLAY_DEMO), ("recorded", "replayed"))
    assert np.array_equal(recorded, replayed)
    assert inherited(table) > 0


def calibrate_plan(host):
    """The plan that it finds inherits, for another prompt, and the picture stays near the exact one."""
    (by_plan, exact), psnr, table = run_pair(host, short_demo(CALIBRATE_DEMO), ("calibrated", "exact"))
    assert not np.array_equal(by_plan, exact)
    assert psnr > 10.0
    assert inherited(table) > 0


def wrap_sampler(host):
    """The sampler that carries inheritance gives what the model that carries it gives, bit for bit."""
    def latent(on_model, on_sampler):
        graph = Graph()
        model = graph.load_unet(weight_dtype="fp32")
        sampler = graph.add("KSamplerSelect", sampler_name="euler")
        sigmas = graph.add("BasicScheduler", model=model, scheduler="normal", steps=STEPS, denoise=1.0)
        if on_model:
            model = graph.inherit(model)
        if on_sampler:
            sampler = graph.add("ASDMWrapSampler", sampler=sampler, plan="", **INHERITANCE)
        clip = graph.load_clip()
        sampled = graph.add("SamplerCustom", model=model, add_noise=True, noise_seed=7, cfg=4.0,
                            positive=graph.encode(clip, "strawberry"), negative=graph.encode(clip, ""),
                            sampler=sampler, sigmas=sigmas, latent_image=graph.empty_latent())
        return host.sample(graph, sampled)

    by_sampler = latent(on_model=False, on_sampler=True)
    assert torch.equal(by_sampler, latent(on_model=True, on_sampler=False))
    assert not torch.equal(by_sampler, latent(on_model=False, on_sampler=False))


def switch_unets(host):
    """The first half of the evaluations is the early UNet's, and the picture is no longer the full one's."""
    (switched, full), _, table = run_pair(host, short_demo(SWITCH_DEMO), ("switched", "full"))
    assert not np.array_equal(switched, full)
    early = ", ".join(map(str, range(STEPS // 2)))
    assert f"UNet 1 of 2 (sd1) made evaluations {early}: " in table


def report(host):
    """It counts the run's evaluations, hands the latent on as it is, draws the strip and gives a plan."""
    graph = Graph()
    model = graph.inherit(graph.load_unet(weight_dtype="fp32"))
    sampled = graph.sample_text(model)
    latent, table = graph.report(model, sampled)
    before, behind = graph.save_latent(sampled), graph.save_latent(latent)
    shown, plan = graph.show_text(table), graph.show_text([latent[0], 3])
    strip = graph.save_image([latent[0], 2], "strip")
    run = host.run(graph)
    assert torch.equal(host.latent(run, before), host.latent(run, behind))
    assert f"| {STEPS} (" in run.text(shown)
    assert json.loads(run.text(plan))
    assert host.pictures(run, strip)[0].std() > 10


def compare_images(host):
    """Equal pictures are equal, and two shades of grey are as far apart as arithmetic says."""
    def scores(shade):
        graph = Graph()
        black, other = (graph.add("EmptyImage", width=64, height=64, batch_size=1, color=colour * 0x010101)
                        for colour in (0, shade))
        shown = graph.show_text(graph.add("ASDMCompareImages", reference=black, image=other))
        return read_scores(host.run(graph).text(shown))

    assert scores(0) == (float("inf"), 1.0)
    assert scores(GREY)[0] == pytest.approx(20 * np.log10(255 / GREY), abs=0.05)


def assemble_unet(host):
    """What the preset names is gone, the rest is the full UNet's, and it samples."""
    graph = Graph()
    full = graph.load_unet(weight_dtype="fp32")
    model = assembled(graph, full)
    _, smaller = saved(host, graph, model, "assembled")
    whole = load_file(UNET)
    assert 0 < len(smaller) < len(whole)
    assert all(torch.equal(tensor.float(), whole[name].float()) for name, tensor in smaller.items())
    latents = [host.sample(graph, graph.sample_text(one)) for one in (full, model)]
    assert latents[1].isfinite().all()
    assert relative_error(*latents) > MAX_RELATIVE_ERROR


def me_cond_conv(host):
    """Convolutions have experts, and the UNet begins as what it was."""
    graph = Graph()
    full = graph.load_unet(weight_dtype="fp32")
    model = assembled(graph, full)
    given = {"sites": "auto", "experts": 3, "routing": "softmax", "source": "input", "temperature": 1.0}
    mixed = graph.add("ASDMMECondConv", model=model, teacher=full, **given)
    _, tensors = saved(host, graph, mixed, "experts")
    assert [name for name in tensors if name.endswith(EXPERT)]
    latents = [host.sample(graph, graph.sample_text(one)) for one in (model, mixed)]
    assert 0.0 < relative_error(*latents) < 10 * START_ERROR  # which the steps of the run add up


def distill_unet(host):
    """A cut UNet comes closer to its teacher."""
    graph = Graph()
    teacher = graph.load_unet(weight_dtype="fp32")
    student = assembled(graph, teacher)
    examples = graph.sample_text(teacher, batch_size=8)
    described = graph.encode(graph.load_clip(), "strawberry")
    trained = graph.add("ASDMDistillUNet", teacher=teacher, student=student, latents=examples, positive=described,
                        **TRAINING)
    plot = graph.save_image([trained[0], 1], "loss")
    assert host.pictures(host.run(graph), plot)[0].std() > 1
    wanted, cut, learnt = (host.sample(graph, graph.sample_text(one, seed=8)) for one in (teacher, student, trained))
    assert relative_error(wanted, learnt) < 0.8 * relative_error(wanted, cut)


def save_unet(host):
    """What it writes is loaded again as what it was, LoRA included."""
    graph = Graph()
    plain = graph.load_unet(weight_dtype="fp32")
    model = graph.add("LoraLoaderModelOnly", model=plain, lora_name=LORA, strength_model=1.0)
    path, _ = saved(host, graph, model, "saved")
    again = graph.load_unet(unet_name=path.name, weight_dtype="fp32")
    without, wanted, found = (host.sample(graph, graph.sample_text(one)) for one in (plain, model, again))
    assert relative_error(wanted, found) < MAX_RELATIVE_ERROR
    assert relative_error(wanted, without) > 0.01


EFFECTS = {
    "ASDMLoadUNet": load_unet,
    "ASDMNativeUNet": native_unet,
    "ASDMFeatureInheritance": feature_inheritance,
    "ASDMApplyPlan": apply_plan,
    "ASDMCalibratePlan": calibrate_plan,
    "ASDMWrapSampler": wrap_sampler,
    "ASDMSwitchUNets": switch_unets,
    "ASDMReport": report,
    "ASDMCompareImages": compare_images,
    "ASDMAssembleUNet": assemble_unet,
    "ASDMMECondConv": me_cond_conv,
    "ASDMDistillUNet": distill_unet,
    "ASDMSaveUNet": save_unet,
}


def test_every_node_is_looked_at():
    assert set(EFFECTS) == {node["id"] for node in read_schemas()}


@pytest.mark.parametrize("node", EFFECTS)
def test_a_node_does_its_work(host, node):
    EFFECTS[node](host)
