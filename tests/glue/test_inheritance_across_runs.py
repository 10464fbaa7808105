"""Runs after each other, on one model and on its clones: each is as if it were the only one, and its window is of its
own schedule.

The expected latent is that of the host's own UNet with the same features exchanged by a patch.
"""

import pytest
import torch
from closeness import relative_error
from hosted_model import CFG, SEED, SIZE, actions, split_batches
from patched_inheritance import EQUAL, PatchedInheritance

STEPS = 8


@pytest.fixture
def checked_run(hosted, monkeypatch):
    """Samples `model`, holds it against the host's own UNet with features exchanged where `pattern` says, and gives the
    latent."""
    def run(model, pattern, **graph):
        latent, report = hosted.sampled(model, **graph)
        assert actions(report, "out.8") == pattern
        assert report["forced_refreshes"] == {}
        expected = PatchedInheritance(hosted.patcher, lambda index: pattern[index] == "c")
        with monkeypatch.context() as patched:
            split_batches(patched)
            reference = hosted.sample(expected.patcher, **graph)
        assert expected.evaluations == pattern
        assert relative_error(reference, latent) < EQUAL
        return latent
    return run


def test_hires_fix(hosted, checked_run):
    """A second sampler goes on from the enlarged latent of the first, with the end of the schedule."""
    model = hosted.inheriting()
    small = checked_run(model, "ciiciici", steps=STEPS)
    large = torch.nn.functional.interpolate(small, scale_factor=1.5)
    again = {"latent": large, "sigmas": hosted.sigmas(2 * STEPS)[STEPS:]}
    refined = checked_run(model, "ciiciici", **again)
    assert refined.shape[-1] == SIZE * 3 // 2
    assert torch.equal(refined, hosted.sample(hosted.inheriting(), **again))
    # Each report is still found by the latent of its run.
    assert hosted.report(model, small)["sigmas"] == pytest.approx(hosted.sigmas(STEPS)[:-1].tolist())
    assert hosted.report(model, refined)["sigmas"] == pytest.approx(again["sigmas"][:-1].tolist())


def test_the_batch_size_may_change_between_runs(hosted, checked_run):
    model = hosted.inheriting()
    graphs = [{"latent": torch.zeros(rows, 4, SIZE, SIZE)} for rows in (1, 2, 1, 3)]
    latents = [checked_run(model, "ciiciici", **graph) for graph in graphs]
    assert torch.equal(latents[0], latents[2])
    for graph, latent in zip(graphs, latents, strict=True):
        assert torch.equal(latent, hosted.sample(hosted.inheriting(), **graph))


def test_the_host_knows_of_the_memory_before_it_loads_the_weights(hosted, glue):
    """Also in the first run of a clone, where object patches come after the estimate."""
    from comfy.patcher_extension import WrappersMP
    shape, seen = [2, 4, SIZE, SIZE], []
    model = hosted.inheriting(sites="attn1", level="unit")

    def estimated(executor, patcher, *args, **kwargs):
        seen.append(patcher.model.memory_required(shape))
        return executor(patcher, *args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, "test", estimated)
    hosted.patcher.unpatch_model()
    hosted.sample(model, steps=1)
    own = type(model.model).memory_required(model.model, shape)
    unet = glue("host.hosted_unet").hosted_unet(model.model)
    declared = unet.kept_bytes(model.get_attachment("asdm"), shape, 4, torch.device("cpu"))
    assert seen[0] - own >= declared > 0
    assert model.model.memory_required(shape) == own  # and nothing is left behind


def test_settings_that_inherit_nothing_are_told(hosted):
    _, report = hosted.sampled(hosted.inheriting(start_percent=0.97), steps=STEPS)
    assert report["inherited"] == 0
    assert "these settings inherit nothing in this run" in report["notes"]
    _, report = hosted.sampled(hosted.inheriting(), steps=STEPS)
    assert report["notes"] == []


def test_two_samplers_on_one_model(hosted, checked_run):
    """As two KSampler nodes in a graph, with prompts and samplers of their own, in both orders."""
    model = hosted.inheriting(value="taylor1")
    graphs = [{"positive": hosted.cond(1)}, {"positive": hosted.cond(4), "sampler": hosted.sampler("dpmpp_2m")}]
    alone = [hosted.sample(hosted.inheriting(value="taylor1"), **graph) for graph in graphs]
    for order in ((0, 1), (1, 0)):
        latents = {number: hosted.sample(model, **graphs[number]) for number in order}
        assert all(torch.equal(latents[number], alone[number]) for number in order)
    held = hosted.inheriting()
    for graph in graphs:
        checked_run(held, "ciiciici", **graph)


def test_clones_of_one_model_with_settings_of_their_own(hosted, checked_run):
    every_third, every_second = hosted.inheriting(), hosted.inheriting(interval=2)
    for _ in range(2):
        checked_run(every_third, "ciiciici")
        checked_run(every_second, "cicicici")


class Fault(Exception):
    """Of a node in the middle of a run."""


@pytest.mark.parametrize("at", [0, 1, 3, 4])
@pytest.mark.parametrize("level", ["block", "layer"])
def test_after_an_error_in_mid_run_a_new_run_is_right(hosted, checked_run, at, level):
    """A patch fails inside the UNet: at a full evaluation, or at one that inherits."""
    sites = {"block": "out.8", "layer": "in.4.attn"}[level]
    model = hosted.inheriting(level=level, sites=sites)
    whole = hosted.sample(model)
    evaluations = []

    def failing(h, hsp, options):
        if options["block"] == ("output", 11):
            evaluations.append(float(options["sigmas"][0]))
            if len(evaluations) > at:
                raise Fault
        return h, hsp

    broken = model.clone()
    broken.set_model_output_block_patch(failing)
    with pytest.raises(Fault):
        hosted.sample(broken)
    assert len(evaluations) == at + 1
    assert torch.equal(whole, hosted.sample(model))
    if level == "block":
        checked_run(model, "ciiciici")


@pytest.mark.parametrize(("window", "patterns"), [
    ({}, ("ciic", "ciic")),
    ({"start_percent": 0.5}, ("ccci", "ccci")),
    ({"end_percent": 0.5}, ("cicc", "cicc")),
])
def test_split_sigmas_are_runs_of_their_own(hosted, checked_run, window, patterns):
    """Nothing crosses over, and a window is a share of each part."""
    from comfy_extras.nodes_custom_sampler import SplitSigmas
    model = hosted.inheriting(**window)
    output = SplitSigmas.execute(hosted.sigmas(STEPS), STEPS // 2)
    high, low = output.result if hasattr(output, "result") else output
    half = checked_run(model, patterns[0], sigmas=high)
    checked_run(model, patterns[1], sigmas=low, latent=half, noise=False)


def test_advanced_ksamplers_are_runs_of_their_own(hosted):
    """They sample as split sigmas do, with and without leftover noise."""
    import nodes
    model = hosted.inheriting(start_percent=0.5)

    def advanced(samples, first, last, noise):
        (latent,) = nodes.KSamplerAdvanced().sample(
            model, noise, SEED, STEPS, CFG, "euler", "normal", hosted.cond(1), hosted.cond(2), {"samples": samples},
            first, last, "enable")
        return latent["samples"]

    sigmas = hosted.sigmas(STEPS)
    with torch.inference_mode():
        half = advanced(torch.zeros(1, 4, SIZE, SIZE), 0, STEPS // 2, "enable")
        latent = advanced(half, STEPS // 2, 10000, "disable")
    assert torch.equal(half, hosted.sample(model, sigmas=sigmas[:STEPS // 2 + 1]))
    assert torch.equal(latent, hosted.sample(model, sigmas=sigmas[STEPS // 2:], latent=half, noise=False))
    for part in (half, latent):
        assert actions(hosted.report(model, part), "out.8") == "ccci"
