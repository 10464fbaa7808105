"""Packs that reach inside of a run with calls that the host itself never makes: the engine gives what the host gives,
and says what was inherited."""

import pytest
import torch
from closeness import relative_error
from counted_control import CountedControl
from hosted_model import SIZE, HostedModel, actions

STEPS = 4
EXACT = 1e-5
LEAST_EFFECT = 1e-3


def with_model_wrapper(model, wrapper):
    """`wrapper(apply_model, x, timestep, c, cond_or_uncond)` between the host and its model."""
    changed = model.clone()
    changed.set_model_unet_function_wrapper(lambda apply_model, given: wrapper(
        apply_model, given["input"], given["timestep"], given["c"], given["cond_or_uncond"]))
    return changed


def with_call_wrapper(model, wrapper):
    """`wrapper(executor, x, timesteps, context, y, ...)` between the host's model and its UNet."""
    from comfy.patcher_extension import WrappersMP
    changed = model.clone()
    changed.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "another pack", wrapper)
    return changed


def widened(model):
    """A patch makes the first convolution take four channels more."""
    weight = torch.randn(32, 8, 3, 3, generator=torch.Generator().manual_seed(3)) * 0.1
    changed = model.clone()
    changed.add_patches({"diffusion_model.input_blocks.0.0.weight": ("diff", (weight, {"pad_weight": True}))}, 1.0)
    return changed


def wider_input(model):
    """As IC-Light: those channels come with each call."""
    extra = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    return with_model_wrapper(widened(model), lambda apply_model, x, timestep, c, _: apply_model(
        x, timestep, **c | {"c_concat": extra.repeat(x.shape[0], 1, 1, 1)}))


def one_time_for_all(model):
    return with_call_wrapper(model, lambda executor, x, timesteps, *more, **named: executor(
        x, timesteps[:1] * 0.9, *more, **named))


def cond_alone(model):
    """As T-GATE: what cond gives stands for both."""
    def wrapper(apply_model, x, timestep, c, cond_or_uncond):
        rows = x.shape[0] // len(cond_or_uncond)
        of_cond = slice(cond_or_uncond.index(0) * rows, (cond_or_uncond.index(0) + 1) * rows)
        given = c | {"c_crossattn": c["c_crossattn"][of_cond]}
        return apply_model(x[of_cond], timestep[of_cond], **given).repeat(len(cond_or_uncond), 1, 1, 1)
    return with_model_wrapper(model, wrapper)


@pytest.mark.parametrize("order", ["before", "behind"])
@pytest.mark.parametrize("change", [wider_input, one_time_for_all, cond_alone])
def test_is_what_the_host_gives(hosted, change, order):
    expected = hosted.sample(change(hosted.patcher), steps=STEPS)
    assert relative_error(hosted.sample(hosted.patcher, steps=STEPS), expected) > LEAST_EFFECT
    for make in (hosted.host.with_native_engine, lambda model: hosted.inheriting(model, interval=1)):
        model = make(change(hosted.patcher)) if order == "before" else change(make(hosted.patcher))
        found, report = hosted.sampled(model, steps=STEPS)
        assert relative_error(expected, found) <= EXACT
        assert report["native_calls"] == STEPS


def test_a_first_convolution_that_is_widened_at_its_use(hosted):
    """As where the card has no room for the patched weight: its shape shows nowhere before the call."""
    from support import calls, models

    def forward(model):
        inputs = models.random_inputs(model)
        inputs["x"] = torch.cat((inputs["x"], inputs["x"].flip(-1)), 1)
        calls.load(model, offload=True)
        try:
            return calls.forward(model, inputs)
        finally:
            calls.unload(model)
    expected = forward(widened(hosted.patcher))
    assert relative_error(expected, forward(hosted.host.with_native_engine(widened(hosted.patcher)))) <= EXACT


def test_a_vector_for_a_unet_that_takes_none_is_left_out(hosted):
    """Older hosts leave it out too, newer ones refuse the call."""
    model = with_call_wrapper(hosted.exact(), lambda executor, x, timesteps, context, y=None, *more, **named: executor(
        x, timesteps, context, torch.ones(x.shape[0], 8), *more, **named))
    assert torch.equal(hosted.sample(model, steps=STEPS), hosted.sample(hosted.exact(), steps=STEPS))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("sites", ["out.8", "guidance"])
def test_rows_that_are_not_those_that_the_call_names_are_computed(hosted, sites, batch):
    """With two pictures the rows of cond alone look like those of both conditionings of one."""
    latent = torch.zeros(batch, 4, SIZE, SIZE)
    expected = hosted.sample(cond_alone(hosted.patcher), steps=STEPS, latent=latent)
    found, report = hosted.sampled(cond_alone(hosted.inheriting(sites=sites, interval=2)), steps=STEPS, latent=latent)
    assert relative_error(expected, found) <= EXACT
    assert (report["full"], report["inherited"], report["mac_share"]) == (STEPS, 0, 1.0)
    assert report["forced_refreshes"] == {"the call has other rows than the conditionings that it names": STEPS // 2}


def tiled(model, shift: int, together=False):
    """Four windows of the latent, which move by `shift` pixels from evaluation to evaluation; `together`: in one call,
    a tile after the other, each with the rows of both conditionings."""
    made, half = [], SIZE // 2

    def wrapper(apply_model, x, timestep, c, cond_or_uncond):
        moved = len(made) * shift
        made.append(moved)
        x = x.roll((-moved, -moved), (2, 3))
        tiles = [tile for row in x.split(half, 2) for tile in row.split(half, 3)]
        if together:
            c = c | {"c_crossattn": c["c_crossattn"].repeat(4, 1, 1)}
            found = apply_model(torch.cat(tiles), timestep.repeat(4), **c).chunk(4)
        else:
            found = [apply_model(tile, timestep, **c) for tile in tiles]
        rows = [torch.cat(found[:2], 3), torch.cat(found[2:], 3)]
        return torch.cat(rows, 2).roll((moved, moved), (2, 3))
    return with_model_wrapper(model, wrapper)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("sites", ["out.8", "guidance"])
def test_tiles_that_move_are_computed(hosted, sites, together):
    expected = hosted.sample(tiled(hosted.patcher, 3, together), steps=STEPS)
    found, report = hosted.sampled(tiled(hosted.inheriting(sites=sites, interval=2), 3, together), steps=STEPS)
    assert relative_error(expected, found) <= EXACT
    assert (report["inherited"], report["mac_share"]) == (0, 1.0)
    assert set(report["forced_refreshes"]) <= {"no stored features for this conditioning and shape",
                                               "another call of the evaluation was computed",
                                               "guidance needs cond and uncond, and nothing else, in one call"}
    assert report["forced_refreshes"]


@pytest.mark.parametrize(("sites", "together", "inherited"), [
    ("out.8", False, STEPS // 2), ("out.8", True, STEPS // 2), ("guidance", False, STEPS // 2), ("guidance", True, 0)])
def test_tiles_that_stay_are_inherited(hosted, sites, together, inherited):
    """But no guidance where a call holds several tiles, whose rows are not those of cond and uncond."""
    found, report = hosted.sampled(tiled(hosted.inheriting(sites=sites, interval=2), 0, together), steps=STEPS)
    assert report["inherited"] == inherited
    expected = hosted.sample(tiled(hosted.patcher, 0, together), steps=STEPS)
    assert (relative_error(expected, found) <= EXACT) == (inherited == 0)


def test_a_call_on_no_part_of_the_latent_is_computed(hosted):
    def smaller(model):
        return with_model_wrapper(model, lambda apply_model, x, timestep, c, _: torch.nn.functional.interpolate(
            apply_model(torch.nn.functional.avg_pool2d(x, 2), timestep, **c), scale_factor=2.0))
    expected = hosted.sample(smaller(hosted.patcher), steps=STEPS)
    found, report = hosted.sampled(smaller(hosted.inheriting(interval=2)), steps=STEPS)
    assert relative_error(expected, found) <= EXACT
    assert report["forced_refreshes"] == {"the call is on no part of the latent": STEPS // 2}


def test_tiling_packs_write_into_the_controlnet(hosted, monkeypatch):
    """They replace `get_control` on what they find in the cond, and give the ControlNet the hint of each tile."""
    import comfy.samplers
    control = CountedControl(hosted).control
    original = comfy.samplers.get_area_and_mult

    def taking_over(conds, *arguments):
        found = conds["control"]
        if not hasattr(found, "get_control_of_the_host"):
            found.get_control_of_the_host = found.get_control
            found.get_control = lambda *_: found
        return original(conds, *arguments)

    def with_tiles(model):
        def wrapper(apply_model, x, timestep, c, cond_or_uncond):
            found, tiles = c["control"], []
            for number, tile in enumerate(x.chunk(2, -1)):
                del found.cond_hint
                found.cond_hint = found.cond_hint_original.chunk(2, -1)[number].repeat(x.shape[0], 1, 1, 1)
                residuals = found.get_control_of_the_host(tile, timestep, c, len(cond_or_uncond),
                                                          c["transformer_options"])
                tiles.append(apply_model(tile, timestep, **c | {"control": residuals}))
            return torch.cat(tiles, -1)
        return with_model_wrapper(model, wrapper)

    def sample(model):
        control.__dict__.pop("get_control", None)
        control.__dict__.pop("get_control_of_the_host", None)
        return hosted.sample(with_tiles(model), positive=hosted.cond(1, control=control),
                             negative=hosted.cond(2, control=control), steps=STEPS)

    monkeypatch.setattr(comfy.samplers, "get_area_and_mult", taking_over)
    expected = sample(hosted.patcher)
    for sites in ("out.8", "out", "control"):
        assert relative_error(expected, sample(hosted.inheriting(sites=sites, interval=1))) <= EXACT
        assert sample(hosted.inheriting(sites=sites, interval=2)).isfinite().all()


@pytest.mark.parametrize("mode", [{"mode": "uniform", "interval": 2}, {"mode": "easycache", "threshold": 0.3}])
@pytest.mark.parametrize("schedule", ["rising", "repeated", "constant", "up and down"])
def test_schedules_that_do_not_fall(hosted, schedule, mode):
    falling = hosted.sigmas(STEPS)[:-1]
    sigmas = {"rising": falling.flip(0), "repeated": falling.repeat_interleave(2),
              "constant": falling[2:3].repeat(STEPS), "up and down": torch.cat((falling, falling.flip(0)))}[schedule]
    expected = hosted.sample(hosted.patcher, sigmas=sigmas)
    # Against the direction of sampling rounding grows: by how much shows where the host itself starts a millionth off.
    off = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9)) * 1e-6
    grown = relative_error(expected, hosted.sample(hosted.patcher, sigmas=sigmas, latent=off))
    assert relative_error(expected, hosted.sample(hosted.exact(), sigmas=sigmas)) <= max(EXACT, 2 * grown)
    found, report = hosted.sampled(hosted.inheriting(**mode, value="taylor2"), sigmas=sigmas)
    assert found.isfinite().all()
    assert report["full"] + report["inherited"] + report["idle"] == report["evaluations"] == len(sigmas) - 1


def test_a_run_of_no_step_says_so(hosted):
    import nodes
    model = hosted.inheriting()
    given = nodes.common_ksampler(model, 3, STEPS, 5.0, "euler", "normal", hosted.cond(1), hosted.cond(2),
                                  {"samples": torch.zeros(1, 4, SIZE, SIZE)}, denoise=0.0)
    assert "steps to make" in hosted.report(model, given[0]["samples"])["reason"]


@pytest.mark.parametrize("sigmas", [[], [14.6], [0.0]])
def test_a_run_without_steps_is_the_hosts(hosted, sigmas):
    latent, sigmas = torch.ones(1, 4, SIZE, SIZE), torch.FloatTensor(sigmas)
    expected = hosted.sample(hosted.patcher, sigmas=sigmas, latent=latent)
    for model in (hosted.exact(), hosted.inheriting(), hosted.inheriting(speed="2x")):
        found = hosted.sample(model, sigmas=sigmas, latent=latent)
        assert torch.equal(expected, found)
        report = hosted.report(model, found)
        assert report["evaluations"] == 0 if report["found"] else "steps to make" in report["reason"]


def test_the_evaluations_of_another_cache_add_up(hosted):
    from comfy_extras.nodes_easycache import EasyCacheNode
    model = EasyCacheNode.execute(hosted.inheriting(interval=3), 0.5, 0.1, 0.95, False).result[0]
    _, report = hosted.sampled(model, steps=16)
    assert report["idle"] > 0
    assert report["full"] + report["inherited"] + report["idle"] == report["evaluations"] == 16
    assert report["native_calls"] == report["full"] + report["inherited"]
    assert any("EasyCache stood in" in note for note in report["notes"])


@pytest.mark.parametrize("nodes", [("exact", "inheriting"), ("inheriting", "exact"), ("inheriting", "inheriting")])
def test_two_nodes_of_the_pack(hosted, nodes):
    """The order does not matter, and of two inheritances the later counts."""
    def build(model):
        for name in nodes:
            model = {"exact": hosted.host.with_native_engine, "inheriting": hosted.inheriting}[name](model)
        return model
    found, report = hosted.sampled(build(hosted.patcher), steps=STEPS)
    assert report["inherited"] == 2
    assert torch.equal(found, hosted.sample(hosted.inheriting(), steps=STEPS))


@pytest.mark.parametrize("name", ["forward", "_forward"])
def test_a_model_that_runs_whole_in_the_host_inherits_nothing(glue, native, name):
    hosted = HostedModel(glue)
    unet = hosted.patcher.model.diffusion_model
    setattr(unet, name, lambda x, *_, **__: unet.out(unet.input_blocks[0][0](x)))
    latent, report = hosted.sampled(hosted.inheriting(interval=2), steps=STEPS)
    assert torch.equal(latent, hosted.sample(hosted.patcher, steps=STEPS))
    assert (report["full"], report["inherited"], report["mac_share"]) == (STEPS, 0, 1.0)
    assert (report["fallback_calls"], report["native_share"]) == (STEPS, 0.0)
    assert any("nothing can be inherited" in note for note in report["notes"])
    assert set(actions(report, "out.8")) == {"h"}
