"""Two and three UNets in one run of the host's: equal to runs that are split by hand, and the rules of switching."""

import pytest
import torch
from hosted_model import SIZE, HostedModel

INHERITANCE = {"level": "block", "sites": "out.8", "mode": "uniform", "interval": 2}
STEPS = 8


class TwoModels(HostedModel):
    """A late UNet, and an early one of other weights and half the depth."""

    def __init__(self, glue):
        super().__init__(glue)
        from types import SimpleNamespace

        from support import models
        pack = SimpleNamespace(**{name: glue(name) for name in ("loader", "native", "seam", "host")})
        self.late = self.engine(self.patcher)
        self.make = lambda seed, preset="sd15", **changes: models.make_patcher(pack, preset, 32, seed=seed, **changes)
        self.early = self.engine(self.make(5))

    def engine(self, patcher):
        return self.host.with_native_engine(patcher, {"compute_dtype": "auto"})

    def part(self, patcher, first, last, latent=None):
        """The steps `first` to `last` of the run that sample() makes, by hand."""
        import comfy.sample
        import comfy.samplers
        sigmas = comfy.samplers.calculate_sigmas(patcher.get_model_object("model_sampling"), "normal", STEPS)
        start = torch.zeros(1, 4, SIZE, SIZE) if latent is None else latent
        with torch.inference_mode():
            noise = comfy.sample.prepare_noise(start, 3) if latent is None else torch.zeros_like(start)
            return comfy.sample.sample_custom(patcher, noise, 5.0, self.sampler(), sigmas[first:last + 1], self.cond(1),
                                              self.cond(2), start, disable_pbar=True, seed=3)


@pytest.fixture(scope="module")
def hosted(comfy, glue, native):
    return TwoModels(glue)


@pytest.mark.parametrize("inherits", [False, True])
@pytest.mark.parametrize("percent", [25, 50])
def test_equals_a_run_that_is_split_by_hand(hosted, percent, inherits):
    early, late = hosted.early, hosted.late
    if inherits:
        early, late = (hosted.host.with_inheritance(model, INHERITANCE) for model in (early, late))
    switch = STEPS * percent // 100
    by_hand = hosted.part(late, switch, STEPS, hosted.part(early, 0, switch))
    switched = hosted.host.with_early_unet(late, early, percent / 100)
    latent = hosted.sample(switched)
    torch.testing.assert_close(latent, by_hand, rtol=1e-4, atol=1e-4)
    assert not torch.equal(latent, hosted.sample(late))
    report = hosted.report(switched, latent)
    made = ", ".join(map(str, range(switch)))
    assert report["notes"][0].startswith(f"UNet 1 of 2 (sd1) made evaluations {made}: ")
    assert (report["evaluations"], len(report["sigmas"])) == (STEPS, STEPS)
    assert {len(row["actions"]) for row in report["addresses"]} == {STEPS}
    assert (report["inherited"] > 0) == inherits


@pytest.mark.parametrize(("share", "pure"), [(0.0, "late"), (0.04, "late"), (0.97, "early"), (1.0, "early")])
def test_nothing_of_one_is_the_other_bit_for_bit(hosted, share, pure):
    switched = hosted.host.with_early_unet(hosted.late, hosted.early, share)
    assert torch.equal(hosted.sample(switched), hosted.sample(getattr(hosted, pure)))


def test_chains(hosted):
    third = hosted.engine(hosted.make(9))
    inner = hosted.host.with_early_unet(hosted.late, third, 0.5)
    latent = hosted.sample(hosted.host.with_early_unet(inner, hosted.early, 0.25))
    other = hosted.host.with_early_unet(hosted.late, hosted.host.with_early_unet(third, hosted.early, 0.25), 0.5)
    assert torch.equal(latent, hosted.sample(other))
    by_hand = hosted.part(hosted.late, 4, 8, hosted.part(third, 2, 4, hosted.part(hosted.early, 0, 2)))
    torch.testing.assert_close(latent, by_hand, rtol=1e-4, atol=1e-4)


def test_the_sampler_keeps_its_say(hosted):
    """euler_cfg_pp asks for the uncond prediction by an option that it adds for its run."""
    switched = hosted.host.with_early_unet(hosted.late, hosted.early, 0.97)
    sampler = "euler_cfg_pp"
    assert torch.equal(hosted.sample(switched, hosted.sampler(sampler)),
                       hosted.sample(hosted.early, hosted.sampler(sampler)))


@pytest.mark.parametrize(("changes", "trait"), [
    ({"preset": "sdxl"}, "latent format SD15, as model has, got SDXL"), ({"in_channels": 9}, "input channels 4")])
def test_refuses_what_cannot_follow(hosted, changes, trait):
    with pytest.raises(ValueError, match=trait):
        hosted.host.with_early_unet(hosted.late, hosted.make(1, **changes), 0.5)


def test_refuses_the_same_weights(hosted):
    with pytest.raises(ValueError, match="weights of its own"):
        hosted.host.with_early_unet(hosted.late, hosted.patcher, 0.5)


def test_the_host_knows_both_weights(hosted):
    import comfy.model_management
    comfy.model_management.unload_all_models()
    switched = hosted.host.with_early_unet(hosted.late, hosted.early, 0.5)
    hosted.sample(switched)
    loaded = {id(patcher.model) for patcher in comfy.model_management.loaded_models()}
    assert {id(hosted.early.model), id(hosted.late.model)} <= loaded
    assert hosted.early.model.current_patcher is None
