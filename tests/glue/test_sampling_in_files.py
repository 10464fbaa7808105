"""How a UNet is sampled survives a file, assembling, distilling and switching: what the host told by a checkpoint's
marks, and what a node put in its place."""

import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from hosted_model import HostedModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

EQUAL = 1e-6
SMALL = {"sigma_max": torch.tensor(120.0), "sigma_min": torch.tensor(0.002)}
# What a file has beside its UNet: NoobAI's, CosXL's, Playground's.
MARKS = {
    "none": {},
    "v": {"v_pred": torch.zeros(0)},
    "v_zsnr": {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)},
    "edm_v": {f"edm_vpred.{name}": value for name, value in SMALL.items()},
    "edm_v_max_alone": {"edm_vpred.sigma_max": torch.tensor(90.0)},
    "playground": {"edm_mean": torch.zeros(1, 4, 1, 1), "edm_std": torch.ones(1, 4, 1, 1)},
}


def patched_discrete(kind, zsnr):
    def patch(model):
        from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
        return ModelSamplingDiscrete().patch(model, kind, zsnr)[0]
    return patch


def patched_edm(kind):
    def patch(model):
        from comfy_extras.nodes_model_advanced import ModelSamplingContinuousEDM
        return ModelSamplingContinuousEDM().patch(model, kind, 77.0, 0.01)[0]
    return patch


def patched_continuous(model):
    from comfy_extras.nodes_model_advanced import ModelSamplingContinuousV
    return ModelSamplingContinuousV().patch(model, "v_prediction", 500.0, 0.03)[0]


NODES = {
    "v": patched_discrete("v_prediction", False), "v_zsnr": patched_discrete("v_prediction", True),
    "eps_zsnr": patched_discrete("eps", True), "lcm": patched_discrete("lcm", False),
    "x0": patched_discrete("x0", False),
    "edm_v": patched_edm("v_prediction"), "edm": patched_edm("edm"), "edm_eps": patched_edm("eps"),
    "playground": patched_edm("edm_playground_v2.5"), "continuous_v": patched_continuous,
}


@pytest.fixture(scope="module")
def hosts(glue, native):
    """A HostedModel of each preset."""
    made = {}

    def get(preset):
        if preset not in made:
            made[preset] = HostedModel(glue, preset)
        return made[preset]
    return get


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The output folder; what is saved in it is found by the loader."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def load():
    """The MODEL of a file, by ASDM Load UNet."""
    return lambda hosted, path: hosted.load_file(path)


@pytest.fixture
def save(native, folder):
    """The file that ASDM Save UNet writes of a MODEL."""
    def saved(hosted, model):
        path = native.execute("ASDMSaveUNet", hosted.host, {"model": model, "filename_prefix": "kept"})["outputs"][0]
        return type(folder)(path)
    return saved


@pytest.fixture
def marked(hosts, folder, load):
    """A MODEL of SDXL's structure, loaded from a file with these marks."""
    numbers = itertools.count()

    def made(marks, preset="sdxl"):
        hosted = hosts(preset)
        path = folder / f"marked_{next(numbers)}.safetensors"
        save_file({**hosted.patcher.model.diffusion_model.state_dict(), **marks}, path)
        return load(hosted, path)
    return made


def traits(model):
    sampling = model.get_model_object("model_sampling")
    return {
        "bases": [base.__name__ for base in type(sampling).__bases__],
        "latent": type(model.get_model_object("latent_format")).__name__,
        "model": type(model.model).__name__, "concat": tuple(model.model.concat_keys),
        "sigma_data": sampling.sigma_data, "zsnr": getattr(sampling, "zsnr", None)}


def check_alike(hosted, one, other):
    """The two are sampled alike: traits, every sigma and time, and the latents."""
    assert traits(one) == traits(other)
    first, second = (model.get_model_object("model_sampling") for model in (one, other))
    for name in ("sigmas", "log_sigmas"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert torch.equal(first.timestep(first.sigmas), second.timestep(second.sigmas))
    sigmas = torch.cat([first.sigmas[[-1, len(first.sigmas) // 2]], torch.zeros(1)])
    latents = [hosted.sample(hosted.host.with_native_engine(model), sigmas=sigmas) for model in (one, other)]
    assert (latents[0] - latents[1]).norm() <= EQUAL * latents[0].norm()


@pytest.mark.parametrize("kind", MARKS)
def test_marks_of_a_checkpoint_survive_saving(hosts, marked, save, load, kind):
    hosted, model = hosts("sdxl"), marked(MARKS[kind])
    path = save(hosted, model)
    check_alike(hosted, model, load(hosted, path))
    names = load_file(path).keys()
    assert {name for name in names if name in MARKS[kind]} == set(MARKS[kind])  # as the host's loaders read them


@pytest.mark.parametrize(("kind", "largest"),
                         [("none", 14.6), ("v_zsnr", 4518.8), ("edm_v", 120.0), ("playground", 80.0)])
def test_marks_are_those_that_the_host_reads(marked, kind, largest):
    assert float(marked(MARKS[kind]).get_model_object("model_sampling").sigma_max) == pytest.approx(largest, rel=1e-2)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("preset", ["sd15", "sd21", "sdxl"])
def test_what_a_node_patched_survives_saving(hosts, save, load, preset, node):
    hosted = hosts(preset)
    model = NODES[node](hosted.patcher)
    check_alike(hosted, model, load(hosted, save(hosted, model)))


@pytest.mark.parametrize("kind", ["v_zsnr", "edm_v", "playground"])
def test_marks_survive_assembling_and_a_second_file(hosts, marked, native, save, load, kind):
    hosted, model = hosts("sdxl"), marked(MARKS[kind])
    small = native.execute("ASDMAssembleUNet", hosted.host, {"model": model, "preset": "s0"})["outputs"][0]
    assert traits(small) == traits(model)
    again = load(hosted, save(hosted, small))
    check_alike(hosted, small, again)
    check_alike(hosted, small, load(hosted, save(hosted, again)))


def test_sampling_that_a_file_brought_survives_assembling(hosts, native, save, load):
    """LCM's, which no model type of the host's stands for."""
    hosted = hosts("sd15")
    model = load(hosted, save(hosted, NODES["lcm"](hosted.patcher)))
    small = native.execute("ASDMAssembleUNet", hosted.host, {"model": model, "preset": "s0"})["outputs"][0]
    assert traits(small) == traits(model)


@pytest.mark.parametrize("kind", ["v_zsnr", "edm_v"])
def test_what_the_host_saves_of_an_assembled_unet_keeps_its_marks(hosts, marked, native, folder, load, kind):
    from comfy_extras.nodes_model_merging import save_checkpoint

    hosted, model = hosts("sdxl"), marked(MARKS[kind])
    small = native.execute("ASDMAssembleUNet", hosted.host, {"model": model, "preset": "s0"})["outputs"][0]
    save_checkpoint(small, filename_prefix="theirs", output_dir=str(folder))
    loaded = load(hosted, next(folder.glob("theirs*")))
    assert traits(loaded) == traits(small)
    assert loaded.model.diffusion_model.spec == small.model.diffusion_model.spec


def test_a_patched_sampling_of_another_clone_is_none_of_the_assembled(hosts, native):
    hosted = hosts("sd15")
    other = NODES["v_zsnr"](hosted.patcher)
    other.patch_model()
    try:
        small = native.execute("ASDMAssembleUNet", hosted.host, {"model": hosted.patcher, "preset": "s0"})["outputs"][0]
        assert traits(small)["bases"] == ["ModelSamplingDiscrete", "EPS"]
    finally:
        other.unpatch_model()


@pytest.mark.parametrize("channels", [8, 9])
@pytest.mark.parametrize("preset", ["sd15", "sdxl"])
def test_inpainting_and_instructions_are_kept_as_what_they_are(hosts, glue, folder, save, load, preset, channels):
    from support import models

    hosted = hosts(preset)
    pack = SimpleNamespace(loader=glue("host.loader"), native=glue("native"))
    unet = models.make_patcher(pack, preset, 32, in_channels=channels).model.diffusion_model
    path = folder / "channels.safetensors"
    save_file(unet.state_dict(), path)
    model = load(hosted, path)
    expected = {("sd15", 8): "SD15_instructpix2pix", ("sdxl", 8): "SDXL_instructpix2pix", ("sd15", 9): "BaseModel",
                ("sdxl", 9): "SDXL"}[preset, channels]
    assert type(model.model).__name__ == expected
    assert tuple(model.model.concat_keys) == (("mask", "masked_image") if channels == 9 else ())
    noise = torch.zeros(1, 4, 16, 16)
    beside = model.model.concat_cond(noise=noise, device="cpu", latent_image=noise)
    assert beside.shape[1] == channels - 4
    assert traits(load(hosted, save(hosted, model))) == traits(model)


def test_a_first_convolution_that_a_patch_widened_is_kept(hosts, save, load):
    """IC-Light's: four channels more, which a wrapper of its pack brings."""
    hosted = hosts("sd15")
    key = "diffusion_model.input_blocks.0.0.weight"
    own = dict(hosted.patcher.model.named_parameters())[key].clone()
    widened = hosted.patcher.clone()
    more = torch.randn(32, 8, 3, 3, generator=torch.Generator().manual_seed(1)) * 0.1
    assert widened.add_patches({key: ("diff", (more, {"pad_weight": True}))}, 1.0)
    loaded = load(hosted, save(hosted, widened))
    weight = loaded.model.diffusion_model.input_blocks[0][0].weight
    assert weight.shape[1] == loaded.model.model_config.unet_config["in_channels"] == 8
    assert traits(loaded) == traits(hosted.patcher)  # no InstructPix2Pix, which has as many
    assert torch.allclose(weight[:, :4], own + more[:, :4], atol=1e-6)
    assert torch.equal(weight[:, 4:], more[:, 4:])


def test_the_record_of_a_file_is_checked(hosts, folder, save, load):
    hosted = hosts("sd15")
    path = save(hosted, hosted.patcher)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    record = json.loads(metadata["asdm.sampling"])
    changes = [{"classes": ["os", "sys"]}, {"latent_format": "torch"}, {"buffers": {"sigmas": [1.0]}},
               {"buffers": {"sigmas": "x", "log_sigmas": None}}, {"settings": {"linear_start": "x"}}]
    texts = ["{", "[1]", "3", "[" * 100_000, '{"family": "SD15"}', *(json.dumps(record | change) for change in changes)]
    for change in texts:
        broken = folder / "broken.safetensors"
        save_file(load_file(path), broken, {**metadata, "asdm.sampling": change})
        with pytest.raises(ValueError, match=r"broken\.safetensors: expected how its UNet is sampled"):
            load(hosted, broken)


def test_sampling_of_another_pack_is_said_to_be_lost(hosts, save, load, caplog):
    hosted = hosts("sd15")

    class Theirs(type(hosted.patcher.get_model_object("model_sampling"))):
        def calculate_denoised(self, sigma, model_output, model_input):
            return model_output

    model = hosted.patcher.clone()
    model.add_object_patch("model_sampling", Theirs(model.model.model_config))
    path = save(hosted, model)
    assert "how this model is sampled cannot be kept in a file: Theirs" in caplog.text
    assert traits(load(hosted, path)) == traits(hosted.patcher)


@pytest.mark.parametrize("node", ["v", "v_zsnr", "edm_v", "edm", "edm_eps", "continuous_v"])
def test_training_noises_as_the_host_samples(hosts, glue, node):
    """What the UNet gets and has to give, against the host's own way from a noised latent to a clean one."""
    hosted, data = hosts("sd15"), glue("training.data")
    model = NODES[node](hosted.patcher)
    sampling = model.get_model_object("model_sampling")
    given = data.TrainingData(latents=torch.randn(4, 4, 8, 8), context=torch.zeros(1, 2, 8),
                              rows=torch.zeros(4, 1, dtype=torch.int64))
    noise = data.noise_of(glue("host.sampled_as").record_of(model))
    batches = data.Batches(given, 4, 1, out_channels=4, **noise)
    levels = torch.tensor([3, 200, 600, 990])
    epsilon = torch.randn(4, 4, 8, 8)
    batch = batches._noised(given.latents, epsilon, levels, torch.zeros(4, dtype=torch.int64))
    sigmas = sampling.sigmas[levels].float()
    assert torch.allclose(batch["timesteps"], sampling.timestep(sigmas).float(), atol=1e-4)
    noised = batch["x"] * (sigmas.view(-1, 1, 1, 1) ** 2 + sampling.sigma_data ** 2).sqrt()
    assert torch.allclose(sampling.calculate_input(sigmas, noised), batch["x"], rtol=1e-4, atol=1e-5)
    clean = sampling.calculate_denoised(sigmas, batch["target"], noised)
    assert torch.allclose(clean, given.latents, rtol=1e-2, atol=2e-2 * max(1.0, float(sigmas.max()) / 1000))


def test_a_teacher_is_distilled_as_it_is_sampled(hosts, native, save, load):
    hosted = hosts("sd15")
    teacher = NODES["edm_v"](hosted.patcher)
    small = native.execute("ASDMAssembleUNet", hosted.host, {"model": teacher, "preset": "s0"})["outputs"][0]
    given = {"student": small, "latents": {"samples": torch.ones(1, 4, 8, 8)}, "positive": hosted.cond(1), "steps": 1,
             "batch_size": 1}
    trained = native.execute("ASDMDistillUNet", hosted.host, {"teacher": teacher, **given})["outputs"][0]
    assert traits(trained) == traits(teacher)
    assert traits(load(hosted, save(hosted, trained))) == traits(teacher)
    other = NODES["lcm"](hosted.patcher)
    small = native.execute("ASDMAssembleUNet", hosted.host, {"model": other, "preset": "s0"})["outputs"][0]
    with pytest.raises(ValueError, match=r"ASDMDistillUNet\.teacher: .*noise or velocity.*got LCM"):
        native.execute("ASDMDistillUNet", hosted.host, {**given, "teacher": other, "student": small})


def test_unets_that_are_sampled_alike_switch(hosts, marked, native, save, load):
    hosted, model = hosts("sdxl"), marked(MARKS["playground"])
    early = load(hosted, save(hosted, model))
    switched = native.execute("ASDMSwitchUNets", hosted.host, {"model": model, "early_model": early})["outputs"][0]
    assert traits(switched) == traits(model)
    with pytest.raises(ValueError, match="expected latent format SDXL_Playground_2_5, as model has, got SDXL"):
        native.execute("ASDMSwitchUNets", hosted.host, {"model": model, "early_model": marked({})})
