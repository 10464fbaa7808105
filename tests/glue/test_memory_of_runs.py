"""What a run keeps never exceeds what the host was told of, whatever makes new chunks in each evaluation."""

import inspect

import pytest
import torch
from hosted_model import SIZE, lora, lora_schedule, recorded_runs, split_batches

STEPS = 12


@pytest.fixture
def kept(hosted, glue, monkeypatch):
    """Samples and gives (most bytes declared, most bytes of features kept, report). What else is kept between calls is
    declared besides, and is no part of either."""
    def run(model, latent=None, **graph):
        module = glue("host.sampling_run")
        declared, stored = [], []
        original = module.SamplingRun.declare
        ended = module.SamplingRun.end_call

        def declare(self, features):
            declared.append(original(self, features))
            return declared[-1]

        def end_call(self, *args):
            ended(self, *args)
            stored.append(self._native.cache_bytes)

        with monkeypatch.context() as patched:
            patched.setattr(module.SamplingRun, "declare", declare)
            patched.setattr(module.SamplingRun, "end_call", end_call)
            runs = recorded_runs(patched, glue("host.run_wrappers"))
            _, report = hosted.sampled(model, steps=STEPS, latent=latent, **graph)
            assert runs[0]._native.cache_bytes == 0
        return max(declared), max(stored), report
    return run


def moving_lora(hosted):
    """A LoRA as a hook whose strength changes at each step."""
    strengths = [0.1 + 0.05 * step for step in range(STEPS)]
    group = lora_schedule(lora(hosted.patcher), strengths=(strengths[0], strengths[1]))
    import comfy.hooks
    keyframes = comfy.hooks.HookKeyframeGroup()
    for step, strength in enumerate(strengths):
        keyframes.add(comfy.hooks.HookKeyframe(strength, step / STEPS))
    group.set_keyframes_on_hooks(keyframes)
    return group


def with_closures(model, calls):
    """A replacement of attention that is another function at each call, as packs make them."""
    def wrapper(apply_model, arguments):
        def attention(q, k, v, extra_options):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)

        calls.append(attention)  # alive, so that no two have one address
        options = arguments["c"]["transformer_options"]
        options = {**options, "patches_replace": {"attn1": {("middle", 0, 0): attention}}}
        given = {**arguments["c"], "transformer_options": options}
        return apply_model(arguments["input"], arguments["timestep"], **given)

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    return clone


def tiled(model, size, stride):
    """Tiles of the latent, a call for each; strides below the size overlap."""
    def wrapper(apply_model, arguments):
        x, total, count = arguments["input"], 0.0, 0.0
        for top in range(0, x.shape[2] - size + 1, stride):
            for left in range(0, x.shape[3] - size + 1, stride):
                place = (..., slice(top, top + size), slice(left, left + size))
                whole, weight = torch.zeros_like(x), torch.zeros_like(x)
                whole[place] = apply_model(x[place].clone(), arguments["timestep"], **arguments["c"])
                weight[place] = 1.0
                total, count = total + whole, count + weight
        return total / count

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    return clone


@pytest.mark.parametrize("split", [False, True])
def test_a_lora_that_changes_at_each_step(hosted, kept, monkeypatch, split):
    if split:
        split_batches(monkeypatch)
    positive = hosted.cond(1, hooks=moving_lora(hosted))
    declared, stored, report = kept(hosted.inheriting(), positive=positive)
    assert 0 < stored <= declared
    assert report["full"] + report["inherited"] == STEPS


def test_functions_made_anew_at_each_call(hosted, kept):
    calls = []
    declared, stored, _ = kept(with_closures(hosted.inheriting(), calls))
    assert len(calls) == STEPS
    assert 0 < stored <= declared


@pytest.mark.parametrize("value", ["hold", "taylor2"])
@pytest.mark.parametrize(("size", "stride"), [(8, 8), (8, 4)])
def test_tiles(hosted, kept, size, stride, value):
    declared, stored, report = kept(tiled(hosted.inheriting(value=value), size, stride))
    assert 0 < stored <= declared
    assert report["mac_share"] < 0.9  # tiles inherit, also where they are more than the latent


@pytest.mark.parametrize("schedule", ["standard_static", "standard_uniform", "looped_uniform"])
def test_context_windows(hosted, kept, schedule):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    newer = [False] if "freenoise" in inspect.signature(ContextWindowsManualNode.execute).parameters else []
    made = ContextWindowsManualNode.execute(hosted.inheriting(), 10, 4, schedule, 1, False, "pyramid", 3, *newer)
    declared, stored, _ = kept(made.result[0])
    assert 0 < stored <= declared


def test_areas_and_prompts_that_come_and_go(hosted, kept):
    area = {"area": (SIZE // 2, SIZE // 2, 0, 0), "strength": 1.0, "set_area_to_bounds": False}
    positive = hosted.cond(1) + hosted.cond(4, **area) + hosted.cond(5, start_percent=0.3, end_percent=0.6)
    declared, stored, report = kept(hosted.inheriting(), positive=positive)
    assert 0 < stored <= declared
    assert report["mac_share"] < 0.95
