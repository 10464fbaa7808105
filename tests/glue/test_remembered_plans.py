"""Plans that a calibration found are kept in the host's user folder, and given again for the same model and
sampling."""

import pytest
import torch
from counted_control import CountedControl
from hosted_model import SIZE, HostedModel, with_lora
from test_plan_calibration import asked as calibration


@pytest.fixture(scope="module")
def hosted(glue, native):
    return HostedModel(glue)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where they are kept."""
    import folder_paths
    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path))
    return tmp_path / "asdm" / "plans"


@pytest.fixture
def key_of(glue, hosted):
    """Of a MODEL as the node has it, and a run."""
    plans = glue("host.remembered_plans")
    return lambda model, run: plans.key_of(hosted.host.without_inheritance(model), run)


def asked(hosted, **changes):
    return calibration(hosted, **({"remember": "yes"} | changes))


def test_another_prompt_and_seed_get_the_plan_without_a_run(hosted, folder):
    first = hosted.host.calibrate_plan(hosted.patcher, asked(hosted))
    assert first["runs"] > 0
    again = hosted.host.calibrate_plan(hosted.patcher, asked(
        hosted, positive=hosted.cond(7), seed=8, latent_image={"samples": torch.zeros(1, 4, SIZE, SIZE)}))
    assert again["runs"] == 0
    assert {name: again[name] for name in ("plan", "tried", "chosen", "reached", "judged")} == {
        name: first[name] for name in ("plan", "tried", "chosen", "reached", "judged")}
    assert again["plot"].shape == first["plot"].shape
    assert len(list(folder.iterdir())) == 1


def test_nothing_is_kept_unless_it_is_asked_for(hosted, folder):
    hosted.host.calibrate_plan(hosted.patcher, asked(hosted, remember="no"))
    assert not folder.exists()


@pytest.mark.parametrize("changes", [
    {"steps": 7}, {"cfg": 4.0}, {"sampler_name": "heun"}, {"scheduler": "karras"}, {"denoise": 0.5},
    {"target_speedup": 2.0}, {"effort": "normal"}, {"latent_image": {"samples": torch.zeros(1, 4, SIZE, 2 * SIZE)}}])
def test_another_way_to_sample_wants_another_plan(hosted, key_of, changes):
    assert key_of(hosted.patcher, asked(hosted, **changes)) != key_of(hosted.patcher, asked(hosted))


def test_a_controlnet_wants_another_plan(hosted, key_of):
    controlled = asked(hosted, positive=hosted.cond(1, control=CountedControl(hosted).control))
    assert key_of(hosted.patcher, controlled) != key_of(hosted.patcher, asked(hosted))


def test_another_model_wants_another_plan(hosted, key_of, glue):
    other = HostedModel(glue)
    with torch.no_grad():
        other.patcher.model.diffusion_model.out[2].weight.mul_(1.5)
    weaker = hosted.patcher.clone()
    weaker.add_patches({name: patch[0][1] for name, patch in with_lora(hosted.patcher).patches.items()}, 0.25)
    models = [hosted.patcher, other.patcher, with_lora(hosted.patcher), weaker]
    assert len({key_of(model, asked(hosted)) for model in models}) == len(models)


def test_what_other_nodes_put_on_a_model_wants_another_plan(hosted, key_of):
    from comfy_extras.nodes_freelunch import FreeU
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete, RescaleCFG
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    def behind(node, *inputs):
        (model,) = getattr(node, "execute" if hasattr(node, "execute") else "patch")(hosted.patcher, *inputs)
        return key_of(model, asked(hosted))
    made = [(FreeU(), 1.1, 1.2, 0.9, 0.2), (FreeU(), 1.6, 1.6, 0.2, 0.2), (RescaleCFG(), 0.7), (RescaleCFG(), 0.3),
            (PerturbedAttentionGuidance(), 3.0), (PerturbedAttentionGuidance(), 1.0),
            (ModelSamplingDiscrete(), "v_prediction", False), (ModelSamplingDiscrete(), "eps", False)]
    keys = [key_of(hosted.patcher, asked(hosted)), *(behind(*node) for node in made)]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert keys[1:] == [behind(*node) for node in made]


def test_nothing_is_remembered_where_a_model_carries_what_no_key_can_tell(hosted, folder, caplog):
    class Opaque:
        def __call__(self, arguments):
            return arguments["denoised"]
    model = hosted.patcher.clone()
    model.set_model_sampler_post_cfg_function(Opaque())
    assert hosted.host.calibrate_plan(model, asked(hosted))["runs"] > 0
    assert not folder.exists()
    assert "the plan is not remembered, as the model carries a test_remembered_plans." in caplog.text


def test_a_model_is_the_same_whether_it_is_loaded_or_not(hosted, key_of):
    """The host puts a LoRA into the weights when it loads the model."""
    patched = with_lora(hosted.patcher)
    before = key_of(patched, asked(hosted))
    hosted.sample(patched, steps=2)
    assert patched.backup, "the host keeps patched weights elsewhere, and this test proves nothing"
    assert key_of(patched, asked(hosted)) == before
    assert key_of(with_lora(hosted.patcher), asked(hosted)) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "asdm.calibrated", "version": 2}',
                                  '{"format": "asdm.calibrated", "version": 1, "tried": [[2, 40]], "chosen": 3}'])
def test_a_file_that_holds_no_plan_is_replaced(hosted, folder, key_of, text, caplog):
    run = asked(hosted)
    kept = folder / f"{key_of(hosted.patcher, run)}.json"
    folder.mkdir(parents=True)
    kept.write_text(text, encoding="utf-8")
    assert hosted.host.calibrate_plan(hosted.patcher, run)["runs"] > 0
    assert f"the plan kept in {kept} cannot be read and is looked for anew" in caplog.text
    assert hosted.host.calibrate_plan(hosted.patcher, run)["runs"] == 0


def test_a_disk_that_takes_nothing_costs_only_the_memory(hosted, folder, caplog):
    folder.parent.write_text("a file where the folder should be", encoding="utf-8")
    found = hosted.host.calibrate_plan(hosted.patcher, asked(hosted))
    assert found["runs"] > 0
    assert "the plan could not be kept in" in caplog.text


def calls_itself():
    def patch(arguments, depth=2):
        return patch(arguments, depth - 1) if depth else arguments["denoised"]
    return patch


def lacks_something():
    def patch(arguments):
        return arguments["denoised"] if True else later  # noqa: F821
    if False:
        later = None  # noqa: F841
    return patch


@pytest.mark.parametrize(("patch", "told"), [(calls_itself, "a function that calls itself"),
                                             (lacks_something, "a function that is not whole")])
def test_functions_that_no_key_can_tell_cost_only_the_memory(hosted, key_of, caplog, patch, told):
    model = hosted.patcher.clone()
    model.set_model_sampler_post_cfg_function(patch())
    assert key_of(model, asked(hosted)) is None
    assert told in caplog.text
