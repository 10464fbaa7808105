"""The dial `speed`: the plan that it makes of the host's own samplers, and what it means for a run."""

import json
import math

import pytest
import torch
from hosted_model import SEED
from test_inheritance_under_samplers import samplers_of_the_host

STEPS = 20


@pytest.fixture(scope="module")
def speed(glue):
    return glue("host.speed")


@pytest.fixture(scope="module")
def carry(glue):
    return glue("host.carry")


def gaussian(sigma):
    return 1.0 / (1.0 + sigma ** 2)


def notes_of_another_run(report) -> list[str]:
    """Those that say that the plan and the run do not fit."""
    return [note for note in report["notes"] if "the plan has" in note]


def carried(hosted, carry, sampler, steps=STEPS, slope=gaussian):
    return carry.carried_evaluations(hosted.sampler(sampler), hosted.sigmas(steps), hosted.patcher, slope).evaluations


def guided(pull):
    """The slope of a denoiser whose guidance pulls so much."""
    return lambda sigma: 1.0 - (1.0 + pull) * sigma ** 2 / (sigma ** 2 + 0.1)


def test_euler_carries_a_miss_as_the_equation_says(hosted, carry):
    """x' = x + (next - sigma) / sigma * (x - denoised), so that a miss of 1 moves x by 1 - next / sigma; the mean of
    denoisers that keep all, 0.8 and 0.6 of it."""
    sigmas, arrived = hosted.sigmas(6).tolist(), []
    for kept in (1.0, 0.8, 0.6):
        arrived.append([])
        for start in range(6):
            moved = 0.0
            for index in range(start, 6):
                denoised = moved * kept / (1.0 + sigmas[index] ** 2) + (1.0 if index == start else 0.0)
                moved += (sigmas[index + 1] - sigmas[index]) / sigmas[index] * (moved - denoised)
            arrived[-1].append(moved)
    found = carried(hosted, carry, "euler", 6)
    assert [sigma for sigma, *_ in found] == pytest.approx(sigmas[:-1], rel=1e-5)
    expected = torch.tensor(arrived).square().mean(dim=0).sqrt().tolist()
    assert [weight for _, weight, *_ in found] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "res_multistep"])
def test_a_miss_before_a_long_last_step_is_not_taken_for_one_that_cancels_out(hosted, carry, sampler):
    """The schedule `normal` ends with a step over two thirds of all ln(sigma). What such a sampler extrapolates over it
    from the evaluation before is what it adds of the last one, turned: on the model of scenes a miss there arrived
    whole."""
    found = carried(hosted, carry, sampler, slope=lambda sigma: 1.0 - sigma ** 2 / (sigma ** 2 + 0.25))
    assert found[-3][1] > 0.6


@pytest.mark.parametrize("sampler", samplers_of_the_host())
def test_every_sampler_of_the_host_is_tried_as_itself(hosted, carry, monkeypatch, sampler):
    """No evaluation is planned for that the run does not make, but for the sampler that chooses its steps."""
    _, report = hosted.sampled(hosted.exact(), hosted.sampler(sampler), steps=6)
    own = hosted.sampler(sampler)
    monkeypatch.setattr(carry, "_Euler", lambda: pytest.fail("taken for euler"))
    found = carry.carried_evaluations(own, hosted.sigmas(6), hosted.patcher, gaussian).evaluations
    assert all(math.isfinite(weight) for _, weight, *_ in found)
    if sampler != "dpm_adaptive":
        assert [sigma for sigma, *_ in found] == pytest.approx(report["sigmas"], rel=1e-4)


def test_noise_that_is_added_again_drowns_early_misses(hosted, carry):
    weights = {name: abs(carried(hosted, carry, name, slope=lambda sigma: 0.1 / (0.1 + sigma ** 2))[3][1])
               for name in ("euler", "euler_ancestral")}
    assert weights["euler_ancestral"] < 0.5 * weights["euler"]


def test_what_a_corrector_moves_is_seen(hosted, carry):
    """heun evaluates twice at one sigma: where the step came to, and where its correction did."""
    moved = {}
    for name in ("heun", "euler"):
        offsets = [offset for _, _, offset, _ in carried(hosted, carry, name, slope=guided(0.4))]
        moved[name] = [second - first for first, second in zip(offsets[1:9:2], offsets[2:9:2], strict=True)]
    assert min(moved["heun"]) > 0.03
    assert max(moved["euler"]) < 0.03


@pytest.mark.parametrize(("sampler", "least", "most"), [("uni_pc", 10.0, math.inf), ("euler", 0.0, 1.01)])
def test_a_miss_that_the_sampler_lets_grow_is_carried(hosted, carry, sampler, least, most):
    """Where guidance pulls hard, what uni_pc extrapolates swings, and euler forgets."""
    calm, pulled = ([abs(found[1]) for found in carried(hosted, carry, sampler, 12, slope=slope)[:4]]
                    for slope in (gaussian, guided(3.0)))
    assert all(least <= after / before <= most for before, after in zip(calm, pulled, strict=True))


@pytest.mark.parametrize(("sampler", "least", "most"), [
    ("euler", 0.0, 0.0), ("dpmpp_2m", 0.0, 0.0), ("uni_pc", 0.0, 0.0), ("heun", 0.0, 0.0),
    ("euler_ancestral", 0.4, 0.95), ("dpmpp_2m_sde", 0.4, 0.95), ("lcm", 0.9, 1.0)])
def test_what_a_sampler_draws_anew_is_seen(hosted, carry, sampler, least, most):
    """LCM draws all noise anew in each step."""
    found = carried(hosted, carry, sampler)
    assert [len(renewed) for *_, renewed in found] == list(range(len(found)))
    middle = [renewed[-1] for *_, renewed in found[2:STEPS // 2]]
    assert least <= min(middle)
    assert max(middle) <= most


@pytest.mark.parametrize(("sampler", "one_step"), [
    ("euler", True), ("ddim", True), ("euler_cfg_pp", True), ("euler_ancestral", False), ("lcm", False),
    ("dpmpp_2m", False), ("heun", False), ("dpm_2", False), ("uni_pc", False), ("lms", False),
    ("res_multistep", False)])
def test_whether_an_input_follows_from_the_one_before_alone_is_seen(hosted, carry, sampler, one_step):
    found = carry.carried_evaluations(hosted.sampler(sampler), hosted.sigmas(STEPS), hosted.patcher, gaussian)
    assert found.one_step is one_step


def test_values_are_forecast_where_less_is_lost_so(hosted):
    def value(sampler, speed="2x", **inputs):
        steps = 3 * STEPS
        _, report = hosted.sampled(hosted.inheriting(speed=speed, **inputs), hosted.sampler(sampler), steps=steps)
        return json.loads(report["plan"])["value"]
    assert value("euler") == "taylor1"
    assert value("dpmpp_2m") == "hold"
    assert value("euler", value="taylor2") == "taylor2"  # as asked


def test_the_real_run_draws_the_noise_that_it_would_have_drawn(hosted, carry):
    torch.manual_seed(SEED)
    expected = torch.rand(4)
    torch.manual_seed(SEED)
    carried(hosted, carry, "euler_ancestral")
    assert torch.equal(torch.rand(4), expected)


def test_no_other_generator_is_seeded(hosted, carry, monkeypatch):
    """Samplers that draw on a GPU would get the same noise for every seed of the user's."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    carried(hosted, carry, "euler_ancestral")
    assert seeded == []


@pytest.mark.parametrize("sampler", ["euler_ancestral", "lcm"])
def test_the_plan_hangs_on_the_model_of_the_run_alone(hosted, sampler):
    """Not on the clone that was sampled before: samplers add noise to a flow in another way."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3
    diffusion = hosted.inheriting(speed="2x")
    (flow,) = ModelSamplingSD3().patch(diffusion, 3.0)

    def plan(model):
        _, report = hosted.sampled(model, hosted.sampler(sampler), sigmas=hosted.sigmas_of(model, 14))
        return json.loads(report["plan"])["evaluations"] if report["plan"] else None
    first = {model: plan(model) for model in (diffusion, flow)}
    again = {model: plan(model) for model in (flow, diffusion)}
    assert first == again


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_noise_that_is_added_to_an_input_moves_no_entry_of_the_plan(hosted, sampler):
    """Churn evaluates above the schedule."""
    import comfy.samplers
    churning = comfy.samplers.ksampler(sampler, {"s_churn": 5.0})
    _, report = hosted.sampled(hosted.inheriting(speed="2x"), churning, steps=12)
    sigmas = [entry["sigma"] for entry in json.loads(report["plan"])["evaluations"]]
    assert sigmas == pytest.approx(report["sigmas"], rel=1e-4)
    assert sigmas[0] > float(hosted.sigmas(12)[0])
    if sampler == "euler":  # heun's churn has sigma rise, and then nothing is inherited
        assert 1.0 / report["mac_share"] == pytest.approx(2.0, rel=0.05)
    assert notes_of_another_run(report) == []


def test_a_part_of_a_schedule_is_planned_for_to_its_last_evaluation(hosted):
    sigmas = hosted.sigmas(STEPS, "kl_optimal")[:STEPS // 2 + 1]
    _, report = hosted.sampled(hosted.inheriting(speed="2x"), hosted.sampler("dpmpp_2s_ancestral"), sigmas=sigmas)
    assert notes_of_another_run(report) == []


def test_a_sampler_that_needs_a_real_model_is_planned_for_as_euler(hosted, carry):
    import comfy.samplers

    def picky(model, x, sigmas, **_):
        raise AttributeError(f"{type(model.inner_model)} is no guider")
    found = carry.carried_evaluations(comfy.samplers.KSAMPLER(picky), hosted.sigmas(6), hosted.patcher, gaussian)
    of_euler = carried(hosted, carry, "euler", 6)
    for (*numbers, renewed), (*expected, none) in zip(found.evaluations, of_euler, strict=True):
        assert numbers == pytest.approx(expected, abs=1e-4)
        assert renewed == none
    assert found.as_euler


def test_a_guider_of_another_host_does_not_stop_the_run(hosted, carry, monkeypatch):
    """Whatever the host's samplers ask of a guider that the trial's has not, a plan is made."""
    import comfy.samplers

    def asks(self, *_, **__):
        raise AttributeError("'_LinearDenoiser' object has no attribute 'to_come'")
    expected = carried(hosted, carry, "euler", 6)
    with monkeypatch.context() as patch:
        patch.setattr(comfy.samplers.KSAMPLER, "sample", asks)
        found = carry.carried_evaluations(hosted.sampler("heun"), hosted.sigmas(6), hosted.patcher, gaussian)
    assert found.as_euler
    assert [sigma for sigma, *_ in found.evaluations] == pytest.approx([sigma for sigma, *_ in expected])


def test_the_trial_has_what_a_guider_of_the_host_has(hosted, carry):
    import comfy.samplers
    own = comfy.samplers.CFGGuider(hosted.patcher)
    assert vars(own).keys() <= vars(carry._LinearDenoiser(hosted.patcher, gaussian)).keys()


def test_the_report_says_that_a_sampler_is_planned_for_as_euler(hosted):
    import comfy.samplers

    def picky(model, x, sigmas, extra_args, **_):
        assert model.inner_model.inner_model.diffusion_model.out is not None
        ones = x.new_ones([len(x)])
        for sigma in sigmas[:-1]:
            if x.shape[1] != 4:
                raise ValueError("expected a latent of four channels")
            x = x + 0.1 * (model(x, sigma * ones, **extra_args) - x)
        return x
    _, report = hosted.sampled(hosted.inheriting(speed="2x"), comfy.samplers.KSAMPLER(picky), steps=STEPS)
    assert "speed 2x: the sampler cannot be tried without a model, and is planned for as euler" in report["notes"]


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "uni_pc", "res_multistep",
                                     "ddim", "heun", "euler_cfg_pp"])
@pytest.mark.parametrize(("name", "asked"), [("1.5x", 1.5), ("3x", 3.0)])
def test_the_work_is_what_was_asked(hosted, speed, monkeypatch, sampler, name, asked):
    monkeypatch.setattr(speed, "_LEAST_PSNR", -math.inf)
    _, report = hosted.sampled(hosted.inheriting(speed=name), hosted.sampler(sampler), steps=STEPS)
    assert 1.0 / report["mac_share"] == pytest.approx(asked, rel=0.05)
    assert report["forced_refreshes"] == {}
    assert not [note for note in report["notes"] if "plan" in note and "planned" not in note]


def test_a_rerun_and_the_replayed_plan_are_equal_bit_for_bit(hosted):
    model = hosted.inheriting(speed="2x")
    latent, report = hosted.sampled(model, steps=STEPS)
    assert torch.equal(latent, hosted.sample(model, steps=STEPS))
    assert torch.equal(latent, hosted.sample(hosted.following(report["plan"]), steps=STEPS))
    wrapped = hosted.wrap_sampler(hosted.sampler(), hosted._asked({"speed": "2x"}))
    assert torch.equal(latent, hosted.sample(hosted.patcher, wrapped, steps=STEPS))


def test_exact_inherits_nothing(hosted):
    latent, report = hosted.sampled(hosted.inheriting(speed="exact"))
    assert torch.equal(latent, hosted.sample(hosted.exact()))
    assert (report["inherited"], report["notes"]) == (0, [])


def test_custom_is_what_the_other_settings_say(hosted):
    assert torch.equal(hosted.sample(hosted.inheriting(speed="custom")), hosted.sample(hosted.inheriting()))


def test_settings_that_it_does_not_use_are_not_asked_for(hosted):
    _, report = hosted.sampled(hosted.inheriting(speed="2x", sites="no.such.site"), steps=STEPS)
    assert report["inherited"] > 0


def test_a_short_run_does_less_and_says_so(hosted):
    _, report = hosted.sampled(hosted.inheriting(speed="3x"), steps=2)
    assert report["mac_share"] > 1 / 3
    (note,) = report["notes"]
    assert note.startswith("speed 3x: ")


@pytest.mark.parametrize("turned", ["flipped", "twice"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_run_whose_sigmas_rise_is_exact_and_says_why(hosted, turned, wrapped):
    """A picture that is turned back into noise, and a schedule that begins again."""
    falling = hosted.sigmas(STEPS)
    sigmas = {"flipped": falling.flip(0)[1:], "twice": torch.cat((falling[:-1], falling))}[turned]
    sampler = hosted.wrap_sampler(hosted.sampler(), {"speed": "2x"}) if wrapped else hosted.sampler()
    model = hosted.exact() if wrapped else hosted.inheriting(speed="2x")
    latent, report = hosted.sampled(model, sampler, sigmas=sigmas)
    assert torch.equal(latent, hosted.sample(hosted.exact(), sigmas=sigmas))
    assert report["inherited"] == 0
    (note,) = report["notes"]
    assert note.startswith("speed 2x: ")
    assert "sigmas of this run rise" in note


def test_each_run_is_planned_for_its_own_schedule(hosted):
    model = hosted.inheriting(speed="2x")
    for steps in (12, 30):
        _, report = hosted.sampled(model, steps=steps)
        assert len(report["sigmas"]) == steps
        assert 1.0 / report["mac_share"] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_both_unets_of_a_switched_run_are_planned_for_their_parts(hosted, sampler, wrapped):
    from support import models
    early = hosted.inheriting(models.make_patcher(hosted.pack, "sd15", 32, seed=5), speed="2x")
    late = hosted.exact() if wrapped else hosted.inheriting(speed="2x")
    made = hosted.sampler(sampler)
    made = hosted.wrap_sampler(made, {"speed": "2x"}) if wrapped else made
    _, report = hosted.sampled(hosted.host.with_early_unet(late, early, 0.5), made, steps=STEPS)
    assert report["evaluations"] == (2 * STEPS - 1 if sampler == "heun" else STEPS)
    assert 1.0 / report["mac_share"] == pytest.approx(2.0, rel=0.1)
    assert notes_of_another_run(report) == []


@pytest.mark.parametrize(("cfg", "guidance"), [(7.0, 7.0), ([8.0, 6.0, 4.0], 6.0), ((2,), 2.0), ([], 1.0), (None, 1.0),
                                               ("seven", 1.0), (torch.tensor(3.0), 3.0)])
def test_what_other_packs_put_in_the_place_of_cfg(speed, cfg, guidance):
    assert speed.guidance_of(cfg) == guidance


@pytest.mark.parametrize("dial", ["custom", "2x"])
def test_a_guider_with_a_cfg_for_each_step_is_sampled(hosted, dial):
    import comfy.samplers

    class Scheduled(comfy.samplers.CFGGuider):
        """As packs make them that change the guidance from step to step."""

        def predict_noise(self, x, timestep, model_options=None, seed=None):
            return comfy.samplers.sampling_function(
                self.inner_model, x, timestep, self.conds["negative"], self.conds["positive"], self.cfg[0],
                model_options=model_options or {}, seed=seed)

    guider = Scheduled(hosted.inheriting(speed=dial))
    guider.set_conds(hosted.cond(1), hosted.cond(2))
    guider.set_cfg([7.0] * STEPS)
    assert hosted.guided(guider, steps=STEPS).isfinite().all()
