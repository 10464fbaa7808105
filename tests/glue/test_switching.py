"""Two and three UNets in one run of the host's: equal to runs that are split by hand, and the rules of switching."""

import pytest
import torch
from closeness import relative_error
from counted_control import CountedControl
from hosted_model import SIZE, HostedModel

INHERITANCE = {"level": "block", "sites": "out.8", "mode": "uniform", "interval": 2}
OTHER = {"level": "unit", "sites": "attn1", "mode": "uniform", "interval": 3, "value": "taylor1"}
LORA_KEY = "diffusion_model.output_blocks.11.1.transformer_blocks.0.ff.net.2.weight"
STEPS = 8
SWITCH = 4
EQUAL = 1e-4  # relative error of latents: rounding, carried on through the run
DIFFERENT = 1e-3


class TwoModels(HostedModel):
    """A late UNet, and an early one of other weights."""

    def __init__(self, glue):
        super().__init__(glue)
        self.late = self.exact()
        self.early = self.engine(self.make(5))

    def make(self, seed, preset="sd15", **changes):
        from support import models
        return models.make_patcher(self.pack, preset, 32, seed=seed, **changes)

    def engine(self, patcher):
        return self.host.with_native_engine(patcher)

    def with_lora(self, patcher, seed):
        shape = patcher.model.state_dict()[LORA_KEY].shape
        clone = patcher.clone()
        clone.add_patches({LORA_KEY: ("diff", (torch.randn(shape, generator=torch.Generator().manual_seed(seed)),))})
        return clone

    def by_hand(self, early, late, switch=SWITCH, latent=None, sigmas=None, **graph):
        """The run in two of the host's, the latent handed on."""
        sigmas = self.sigmas(STEPS) if sigmas is None else sigmas
        half = self.sample(early, latent=latent, sigmas=sigmas[:switch + 1], **graph)
        return self.sample(late, latent=half, sigmas=sigmas[switch:], noise=False, **graph)

    def switched(self, early, late, share=0.5):
        return self.host.with_early_unet(late, early, share)

    def check(self, early, late, **graph):
        """A switched run is that by hand, and not one with what the plain UNets give; its report."""
        switched = self.switched(early, late)
        latent = self.sample(switched, **graph)
        assert relative_error(self.by_hand(early, late, **graph), latent) < EQUAL
        assert relative_error(self.sample(late, **graph), latent) > DIFFERENT
        assert relative_error(self.sample(early, **graph), latent) > DIFFERENT
        return self.report(switched, latent)


@pytest.fixture(scope="module")
def hosted(comfy, glue, native):
    return TwoModels(glue)


@pytest.mark.parametrize("inherits", [False, True])
@pytest.mark.parametrize("percent", [25, 50])
def test_equals_a_run_that_is_split_by_hand(hosted, percent, inherits):
    early, late = hosted.early, hosted.late
    if inherits:
        early, late = (hosted.with_inheritance(model, INHERITANCE) for model in (early, late))
    switch = STEPS * percent // 100
    switched = hosted.switched(early, late, percent / 100)
    latent, report = hosted.sampled(switched)
    assert relative_error(hosted.by_hand(early, late, switch), latent) < EQUAL
    assert relative_error(hosted.sample(late), latent) > DIFFERENT
    made = ", ".join(map(str, range(switch)))
    assert report["notes"][0].startswith(f"UNet 1 of 2 (sd1) made evaluations {made}: ")
    assert (report["evaluations"], len(report["sigmas"])) == (STEPS, STEPS)
    assert {len(row["actions"]) for row in report["addresses"]} == {STEPS}
    assert (report["inherited"] > 0) == inherits


@pytest.mark.parametrize("of_early", ["plain", "LoRA"])
@pytest.mark.parametrize("of_late", ["plain", "LoRA"])
def test_each_keeps_its_own_lora(hosted, of_early, of_late):
    early = hosted.early if of_early == "plain" else hosted.with_lora(hosted.early, 1)
    late = hosted.late if of_late == "plain" else hosted.with_lora(hosted.late, 2)
    hosted.check(early, late)
    latents = [hosted.sample(hosted.switched(*pair)) for pair in ((early, late), (hosted.early, hosted.late))]
    assert torch.equal(*latents) == (of_early == of_late == "plain")


def test_lora_behind_the_node_is_the_late_ones(hosted):
    behind = hosted.with_lora(hosted.switched(hosted.early, hosted.late), 2)
    before = hosted.switched(hosted.early, hosted.with_lora(hosted.late, 2))
    assert torch.equal(hosted.sample(behind), hosted.sample(before))


def test_lora_of_a_conditioning_acts_on_both(hosted):
    """A hook, which the host registers for the run on the model that it samples."""
    import comfy.hooks

    def hooked():
        group = comfy.hooks.HookGroup()
        hook = comfy.hooks.WeightHook(strength_model=1.0)
        hook.weights = {LORA_KEY: ("diff", (torch.ones(32, 128) * 0.05,))}
        hook.need_weight_init = False
        group.add(hook)
        return hosted.cond(1, hooks=group)

    report = hosted.check(hosted.early, hosted.late, positive=hooked())
    assert report["native_calls"] == 2 * STEPS
    plain = hosted.sample(hosted.switched(hosted.early, hosted.late))
    latent = hosted.sample(hosted.switched(hosted.early, hosted.late), positive=hooked())
    assert relative_error(plain, latent) > DIFFERENT


@pytest.mark.parametrize(("of_early", "of_late"), [(INHERITANCE, OTHER), (OTHER, INHERITANCE), (INHERITANCE, None),
                                                   (None, OTHER)])
def test_each_keeps_its_own_inheritance(hosted, of_early, of_late):
    early, late = (model if own is None else hosted.with_inheritance(model, own)
                   for model, own in ((hosted.early, of_early), (hosted.late, of_late)))
    report = hosted.check(early, late)
    inherited = {None: "cccc", INHERITANCE["sites"]: "cici", OTHER["sites"]: "ciic"}
    rows = {row["address"]: row["actions"] for row in report["addresses"]}
    watched = {INHERITANCE["sites"]: "out.8", OTHER["sites"]: "out.9.attn.0.attn1"}
    for own, half in ((of_early, slice(0, SWITCH)), (of_late, slice(SWITCH, STEPS))):
        if own is not None:
            assert rows[watched[own["sites"]]][half] == inherited[own["sites"]]
    counts = [SWITCH - inherited[own and own["sites"]].count("c") for own in (of_early, of_late)]
    assert report["inherited"] == sum(counts)


@pytest.mark.parametrize("percent", [(0.0, 1.0), (0.0, 0.1), (0.2, 1.0)])
def test_a_control_net_acts_on_both(hosted, percent):
    control = CountedControl(hosted, percent=percent)
    graph = {"positive": hosted.cond(1, control=control.control), "negative": hosted.cond(2, control=control.control)}
    hosted.check(hosted.early, hosted.late, **graph)
    before = control.calls
    latent = hosted.sample(hosted.switched(hosted.early, hosted.late), **graph)
    assert relative_error(hosted.sample(hosted.switched(hosted.early, hosted.late)), latent) > DIFFERENT
    assert (control.calls - before == STEPS) == (percent == (0.0, 1.0))


def test_a_control_net_is_spared_by_what_each_inherits(hosted):
    control = CountedControl(hosted)
    early, late = (hosted.with_inheritance(model, INHERITANCE | {"sites": "out"})
                   for model in (hosted.early, hosted.late))
    graph = {"positive": hosted.cond(1, control=control.control), "negative": hosted.cond(2, control=control.control)}
    report = hosted.check(early, late, **graph)
    assert (report["control_calls"], report["skipped_control_calls"]) == (STEPS, STEPS // 2)


def test_image_to_image(hosted):
    """denoise 0.5: half of a schedule of twice as many steps, and half of that is the early UNet's."""
    latent = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(8))
    report = hosted.check(hosted.early, hosted.late, latent=latent, sigmas=hosted.sigmas(2 * STEPS)[STEPS:])
    assert report["notes"][0].startswith("UNet 1 of 2 (sd1) made evaluations 0, 1, 2, 3: ")


class Recorded:
    """A sampler's model, and what it predicted: [(x, sigma, denoised)]."""

    def __init__(self, model, predictions):
        self._model = model
        self._predictions = predictions

    def __getattr__(self, name):
        return getattr(self._model, name)

    def __call__(self, x, sigma, **kwargs):
        denoised = self._model(x, sigma, **kwargs)
        self._predictions.append((x.clone(), float(sigma[0]), denoised.clone()))
        return denoised


@pytest.mark.parametrize("name", ["heun", "dpmpp_2s_ancestral", "heunpp2", "uni_pc"])
def test_every_prediction_is_of_the_unet_for_its_noise_level(hosted, name):
    """Whatever the sampler makes of them. A step of Euler's to the end gives a prediction by itself."""
    import comfy.samplers
    sampler = hosted.sampler(name)
    predictions = []
    recorded = comfy.samplers.KSAMPLER(
        lambda model, *args, **kwargs: sampler.sampler_function(Recorded(model, predictions), *args, **kwargs))
    sigmas = hosted.sigmas(STEPS)
    hosted.sample(hosted.switched(hosted.early, hosted.late), recorded, sigmas=sigmas)
    makers = []
    for x, sigma, denoised in predictions:
        makers.append("early" if sigma > float(sigmas[SWITCH]) * 1.0001 else "late")
        model = getattr(hosted, makers[-1])
        alone = hosted.sample(model, latent=model.model.process_latent_out(x), sigmas=torch.tensor([sigma, 0.0]),
                              noise=False)
        assert relative_error(alone, model.model.process_latent_out(denoised)) < EQUAL
    assert set(makers) == {"early", "late"}


@pytest.mark.parametrize(("share", "pure"), [(0.0, "late"), (0.04, "late"), (0.97, "early"), (1.0, "early")])
def test_nothing_of_one_is_the_other_bit_for_bit(hosted, share, pure):
    switched = hosted.switched(hosted.early, hosted.late, share)
    assert torch.equal(hosted.sample(switched), hosted.sample(getattr(hosted, pure)))


def test_chains(hosted):
    third = hosted.engine(hosted.make(9))
    latent = hosted.sample(hosted.switched(hosted.early, hosted.switched(third, hosted.late), 0.25))
    assert torch.equal(latent, hosted.sample(hosted.switched(hosted.switched(hosted.early, third, 0.25), hosted.late)))
    sigmas = hosted.sigmas(STEPS)
    half = hosted.by_hand(hosted.early, third, 2, sigmas=sigmas[:SWITCH + 1])
    by_hand = hosted.sample(hosted.late, latent=half, sigmas=sigmas[SWITCH:], noise=False)
    assert relative_error(by_hand, latent) < EQUAL


def test_the_sampler_keeps_its_say(hosted):
    """euler_cfg_pp asks for the uncond prediction by an option that it adds for its run."""
    switched = hosted.switched(hosted.early, hosted.late, 0.97)
    sampler = "euler_cfg_pp"
    assert torch.equal(hosted.sample(switched, hosted.sampler(sampler)),
                       hosted.sample(hosted.early, hosted.sampler(sampler)))


@pytest.mark.parametrize("of_early", [None, OTHER])
@pytest.mark.parametrize("of_late", [None, OTHER])
def test_a_wrapped_sampler_brings_its_inheritance_to_the_late_one(hosted, of_early, of_late):
    early, late = (model if own is None else hosted.with_inheritance(model, own)
                   for model, own in ((hosted.early, of_early), (hosted.late, of_late)))
    on_model = hosted.switched(early, hosted.with_inheritance(late, INHERITANCE))
    wrapped = hosted.wrap_sampler(hosted.sampler(), INHERITANCE)
    switched = hosted.switched(early, late)
    own = hosted.sample(switched)
    latent, report = hosted.sampled(switched, wrapped)
    assert torch.equal(latent, hosted.sample(on_model))
    assert report["sites"] == ([] if of_early is None else report["sites"][:-1]) + ["out.8"]
    assert any("settings of the sampler" in note for note in report["notes"]) == (of_late is not None)
    assert torch.equal(own, hosted.sample(switched))


@pytest.mark.parametrize("done", [SWITCH - 2, SWITCH - 1, SWITCH])
def test_an_interrupt_leaves_nothing_behind(hosted, done):
    """The user's, after a step: the evaluation that it meets is the early UNet's, the first of the late one's, or its
    second."""
    import comfy.model_management
    early, late = (hosted.with_inheritance(model, INHERITANCE) for model in (hosted.early, hosted.late))
    switched = hosted.switched(early, late)
    whole = hosted.sample(switched)
    alone = hosted.sample(early)

    def callback(step, *_):
        if step == done:
            comfy.model_management.interrupt_current_processing()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        hosted.sample(switched, callback=callback)
    assert early.model.current_patcher is None
    assert torch.equal(alone, hosted.sample(early))
    assert torch.equal(whole, hosted.sample(switched))


@pytest.mark.parametrize(("changes", "trait"), [
    ({"preset": "sdxl"}, "latent format SD15, as model has, got SDXL"), ({"in_channels": 9}, "input channels 4")])
def test_refuses_what_cannot_follow(hosted, changes, trait):
    with pytest.raises(ValueError, match=trait):
        hosted.switched(hosted.make(1, **changes), hosted.late)


@pytest.mark.parametrize("which", ["early", "late"])
def test_refuses_another_prediction_type(hosted, which):
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
    pair = {"early": hosted.early, "late": hosted.late}
    pair[which] = ModelSamplingDiscrete().patch(pair[which], "v_prediction", False)[0]
    wanted, got = ("EPS", "V_PREDICTION") if which == "early" else ("V_PREDICTION", "EPS")
    with pytest.raises(ValueError, match=f"prediction type {wanted}, as model has, got {got}"):
        hosted.switched(**pair)


def test_refuses_the_same_weights(hosted):
    with pytest.raises(ValueError, match="weights of its own"):
        hosted.switched(hosted.patcher, hosted.late)


def test_refuses_the_same_weights_with_another_between_them(hosted):
    chain = hosted.switched(hosted.late, hosted.early, 0.3)  # the late one first, then the early one
    with pytest.raises(ValueError, match="expected a UNet with weights of its own"):
        hosted.switched(chain, hosted.with_lora(hosted.late, 2), 0.6)


def test_what_is_made_of_a_chain_loads_no_other_unet(hosted, native):
    switched = hosted.switched(hosted.early, hosted.late)
    assert switched.get_nested_additional_models()
    made = native.execute("ASDMAssembleUNet", hosted.host, {"model": switched, "preset": "bk_tiny"})["outputs"][0]
    assert made.get_nested_additional_models() == []


def test_the_nodes_before_both_are_told(hosted, glue, monkeypatch):
    ids = iter(["1", "2", "3"])
    monkeypatch.setattr(glue("host.comfy_host"), "executing_node", lambda: next(ids))
    late, early = (hosted.inheriting(model) for model in (hosted.late, hosted.early))
    assert glue("host.settings").settings_of(hosted.switched(early, late)).node_ids == ("2", "1", "3")


def test_the_host_knows_both_weights(hosted):
    import comfy.model_management
    comfy.model_management.unload_all_models()
    hosted.sample(hosted.switched(hosted.early, hosted.late))
    loaded = {id(patcher.model) for patcher in comfy.model_management.loaded_models()}
    assert {id(hosted.early.model), id(hosted.late.model)} <= loaded
    assert hosted.early.model.current_patcher is None


def bytes_of(*patchers) -> int:
    """Memory of the weights of their UNets, what they share counted once."""
    storages = [tensor.untyped_storage() for patcher in patchers
                for tensor in patcher.model.diffusion_model.state_dict().values()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.parametrize("of_late", ["plain", "LoRA"])
def test_a_smaller_unet_out_of_the_late_one_takes_no_memory_of_its_own(hosted, native, of_late):
    import comfy.model_management
    comfy.model_management.unload_all_models()
    assembled = native.execute("ASDMAssembleUNet", hosted.host, {"model": hosted.late, "preset": "bk_tiny"})
    early = assembled["outputs"][0]
    late, patched = hosted.late, 0
    if of_late == "LoRA":
        late, patched = hosted.with_lora(late, 2), late.model.state_dict()[LORA_KEY].nbytes
    spec = early.model.diffusion_model.asdm_unet_spec.json.nbytes  # says what it lacks
    alone = bytes_of(late)
    assert bytes_of(early) > alone // 3
    assert bytes_of(early, late) == alone + spec
    hosted.check(early, late)
    assert bytes_of(early, late) <= alone + spec + patched
    comfy.model_management.unload_all_models()
    assert bytes_of(early, late) == alone + spec
