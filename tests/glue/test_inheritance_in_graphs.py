"""Inheritance in the graphs that users build: conditionings, guidance, patches, and how calls are batched.

The expected latent is that of the host's own UNet, conds run one by one, with the same features exchanged by a patch.
"""

import inspect
import itertools

import pytest
import torch
from closeness import relative_error
from hosted_model import CFG, SIZE, actions, lora_schedule, split_batches
from patched_inheritance import DIFFERENT, EQUAL, PatchedInheritance

STEPS = 6
PIXELS = 8 * SIZE
LORA = {"diffusion_model.output_blocks.11.1.transformer_blocks.0.ff.net.2.weight":
        ("diff", (torch.full((32, 128), 0.05),))}


class Case:
    """One graph: `with_nodes(patcher)` is the model behind its nodes, `guider(patcher)` what leads the sampler."""

    def __init__(self, hosted, monkeypatch, with_nodes=lambda patcher: patcher, guider=None, positive=None,
                 negative=None):
        self._hosted = hosted
        self._monkeypatch = monkeypatch
        self._with_nodes = with_nodes
        self._guider = guider or (lambda patcher: hosted.guider(patcher, positive, negative))

    def run(self, patcher):
        patcher = self._with_nodes(patcher)
        return patcher, self._hosted.guided(self._guider(patcher), steps=STEPS)

    def inherited(self, **settings):
        """(latent, report)."""
        model, latent = self.run(self._hosted.inheriting(**settings))
        return latent, self._hosted.report(model, latent)

    def expected(self, refreshed):
        """(latent, PatchedInheritance)."""
        with self._monkeypatch.context() as patched:
            split_batches(patched)
            expected = PatchedInheritance(self._hosted.patcher, lambda index: index % 3 == 0 or index in refreshed)
            return self.run(expected.patcher)[1], expected

    def check(self, pattern="ciicii", refreshed=frozenset()):
        """Features go where they belong; the report. `refreshed`: evaluations that must compute beside every third."""
        latent, report = self.inherited()
        reference, expected = self.expected(refreshed)
        _, exact = self.run(self._hosted.exact())
        assert relative_error(reference, latent) < EQUAL
        assert relative_error(exact, latent) > DIFFERENT
        assert actions(report, "out.8") == pattern == expected.evaluations
        assert report["full"] + report["inherited"] == report["evaluations"] == STEPS
        assert report["fallback_calls"] == 0
        if not refreshed:
            assert report["forced_refreshes"] == {}
        return report


@pytest.fixture
def case(hosted, monkeypatch):
    return lambda **graph: Case(hosted, monkeypatch, **graph)


def result(output):
    """The first output of a node of the host's."""
    return output.result[0] if hasattr(output, "result") else output[0]


def test_cond_and_uncond_together(case):
    assert case().check()["native_calls"] == STEPS


def test_cond_and_uncond_in_two_calls(hosted, case):
    """Lengths that the host does not put into one batch: 77 and 7 tokens."""
    report = case(negative=hosted.cond(2, tokens=7)).check()
    assert report["native_calls"] == 2 * STEPS


def test_cond_and_uncond_of_lengths_that_share_a_batch(hosted, case):
    assert case(positive=hosted.cond(1, tokens=154)).check()["native_calls"] == STEPS


@pytest.mark.parametrize("value", ["hold", "taylor1", "affine"])
def test_calls_may_part_and_meet_again_in_mid_run(case, monkeypatch, value):
    whole, _ = case().inherited(value=value)
    asked = itertools.count()
    split_batches(monkeypatch, lambda: next(asked) % 3 == 1)
    parted, report = case().inherited(value=value)
    assert STEPS < report["native_calls"] < 2 * STEPS
    assert report["forced_refreshes"] == {}
    assert relative_error(whole, parted) < EQUAL


def test_cfg_one_runs_cond_alone(hosted, case):
    assert case(guider=lambda patcher: hosted.guider(patcher, cfg=1.0)).check()["native_calls"] == STEPS


def test_areas_share_a_conditioning_to_fill_up(hosted, case):
    """The host gives uncond a copy of itself for each area of cond, all under one uuid."""
    import nodes
    left, right = (nodes.ConditioningSetArea().append(hosted.cond(seed), PIXELS // 2, PIXELS, x, 0, 1.0)[0]
                   for seed, x in ((4, 0), (5, PIXELS // 2)))
    case(positive=hosted.cond(1) + left + right).check()


def test_areas_of_different_sizes(hosted, case):
    import nodes
    wide = nodes.ConditioningSetArea().append(hosted.cond(4), PIXELS, PIXELS // 2, 0, 0, 0.7)[0]
    case(positive=hosted.cond(1) + wide, negative=hosted.cond(2) + hosted.cond(3)).check()


def test_tiles_of_a_model_wrapper(hosted):
    """Packs that tile the latent call the UNet once for each tile, with the same conditionings. Under euler each half
    is then as if it were sampled alone."""
    def tiled(model):
        def halves(apply_model, given):
            return torch.cat([apply_model(half, given["timestep"], **given["c"])
                              for half in given["input"].chunk(2, dim=-1)], dim=-1)
        model = model.clone()
        model.set_model_unet_function_wrapper(halves)
        return model

    latent = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(8))
    start = {"latent": latent, "noise": False, "steps": STEPS}
    model = tiled(hosted.inheriting())
    whole, report = hosted.sampled(model, **start)
    alone = [hosted.sample(hosted.inheriting(), **start | {"latent": half.contiguous()})
             for half in latent.chunk(2, dim=-1)]
    assert relative_error(torch.cat(alone, dim=-1), whole) < EQUAL
    assert relative_error(hosted.sample(tiled(hosted.exact()), **start), whole) > DIFFERENT
    assert report["native_calls"] == 2 * STEPS
    assert report["forced_refreshes"] == {}


def test_masks(hosted, case):
    import nodes
    mask = torch.zeros(1, PIXELS, PIXELS)
    mask[:, :, : PIXELS // 2] = 1.0
    masked = nodes.ConditioningSetMask().append(hosted.cond(4), mask, "default", 0.8)[0]
    bounded = nodes.ConditioningSetMask().append(hosted.cond(5), 1.0 - mask, "mask bounds", 1.0)[0]
    case(positive=hosted.cond(1) + masked + bounded).check()


def scheduled(hosted, switch=0.25):
    """One prompt up to `switch`, a share of the model's schedule, then another."""
    import nodes
    set_range = nodes.ConditioningSetTimestepRange().set_range
    return set_range(hosted.cond(1), 0.0, switch)[0] + set_range(hosted.cond(4), switch, 1.0)[0]


@pytest.mark.parametrize("calls", ["together", "apart, uncond first", "apart, cond first"])
def test_prompt_scheduling(hosted, case, monkeypatch, calls):
    """A prompt that begins has no features yet, and uncond is computed beside it, or guidance would see its age."""
    if calls == "apart, uncond first":
        split_batches(monkeypatch)
    negative = hosted.cond(2, tokens=7) if calls == "apart, cond first" else None
    report = case(positive=scheduled(hosted), negative=negative).check("ciccii", refreshed={2})
    assert report["calls_with_hooks"] == 0
    assert report["forced_refreshes"] == {"a conditioning begins to act": 1 if calls == "together" else 2}


@pytest.mark.parametrize("scheduled_on", ["cond", "uncond", "both"])
def test_lora_schedules(hosted, case, scheduled_on):
    """Features of another strength do not serve, and cond and uncond are computed together."""
    hooks = {"hooks": lora_schedule(LORA)}
    positive = hosted.cond(1, **(hooks if scheduled_on != "uncond" else {}))
    negative = hosted.cond(2, **(hooks if scheduled_on != "cond" else {}))
    report = case(positive=positive, negative=negative).check("ciccii", refreshed={2})
    assert report["native_calls"] == (STEPS if scheduled_on == "both" else 2 * STEPS)


def test_a_lora_hook_of_one_strength_changes_no_decision(hosted, case):
    hooks = {"hooks": lora_schedule(LORA, strengths=(0.7, 0.7))}
    case(positive=hosted.cond(1, **hooks), negative=hosted.cond(2)).check()


def test_perturbed_attention_guidance(case):
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance
    report = case(with_nodes=lambda patcher: result(PerturbedAttentionGuidance.execute(patcher, 3.0))).check()
    assert report["native_calls"] == 2 * STEPS


def test_perturbed_attention_guidance_that_begins_in_mid_run(hosted, case):
    """Its first prediction is of now, beside inherited ones: the evaluation after computes them all."""
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    def with_nodes(patcher):
        model = result(PerturbedAttentionGuidance.execute(patcher, 3.0))
        guide = model.model_options["sampler_post_cfg_function"].pop()
        first = float(hosted.sigmas(STEPS)[1])
        model.set_model_sampler_post_cfg_function(
            lambda args: guide(args) if float(args["sigma"].max()) <= first else args["denoised"])
        return model

    graph = case(with_nodes=with_nodes)
    latent, report = graph.inherited()
    reference, expected = graph.expected(refreshed={2})
    assert expected.actions == ["cc", "iic", "ccc", "ccc", "iii", "iii"]
    assert actions(report, "out.8") == "ciccii"
    assert relative_error(reference, latent) < EQUAL
    assert report["forced_refreshes"] == {"no stored features for this conditioning and shape": 1,
                                          "guidance began in the evaluation before": 2}


def test_self_attention_guidance(case, monkeypatch):
    """Its map comes from the middle block, which is not run at all evaluations; the rest of it is held here to be the
    same for all."""
    from comfy_extras import nodes_sag

    def blurred_everywhere(latent, _map, sigma, _threshold):
        return nodes_sag.gaussian_blur_2d(latent, kernel_size=9, sigma=sigma)

    monkeypatch.setattr(nodes_sag, "create_blur_map", blurred_everywhere)
    report = case(with_nodes=lambda patcher: result(nodes_sag.SelfAttentionGuidance.execute(patcher, 0.5, 2.0))).check()
    assert report["native_calls"] == 2 * STEPS


def test_self_attention_guidance_goes_on_with_the_last_map(case):
    from comfy_extras.nodes_sag import SelfAttentionGuidance
    _, report = case(with_nodes=lambda patcher: result(SelfAttentionGuidance.execute(patcher, 0.5, 2.0))).inherited()
    assert actions(report, "mid") == "c--c--"
    assert report["fallback_calls"] == 0


def test_perp_neg_node(hosted, case):
    from comfy_extras.nodes_perpneg import PerpNeg
    report = case(with_nodes=lambda patcher: result(PerpNeg.execute(patcher, hosted.cond(6), 1.0))).check()
    assert report["native_calls"] == 2 * STEPS


def test_perp_neg_guider(hosted, case):
    from comfy_extras.nodes_perpneg import PerpNegGuider
    case(guider=lambda patcher: result(PerpNegGuider.execute(
        patcher, hosted.cond(1), hosted.cond(2), hosted.cond(6), CFG, 1.0))).check()


@pytest.mark.parametrize("style", ["regular", "nested"])
def test_dual_cfg_guider(hosted, case, style):
    from comfy_extras.nodes_custom_sampler import DualCFGGuider
    case(guider=lambda patcher: result(DualCFGGuider.execute(
        patcher, hosted.cond(1), hosted.cond(4), hosted.cond(2), 4.0, 2.0, style))).check()


def test_free_u(case):
    from comfy_extras.nodes_freelunch import FreeU_V2
    report = case(with_nodes=lambda patcher: FreeU_V2().patch(patcher, 1.3, 1.4, 0.9, 0.2)[0]).check()
    assert report["calls_with_hooks"] == report["native_calls"] == STEPS


def test_context_windows(hosted, case):
    """Parts of the picture one after the other, each with features of its own."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode
    newer = [False] if "freenoise" in inspect.signature(ContextWindowsManualNode.execute).parameters else []
    case(with_nodes=lambda patcher: result(ContextWindowsManualNode.execute(
        patcher, 10, 4, "standard_static", 1, False, "pyramid", 3, *newer))).check()
