"""Distillation: batches, the loop in one process and in two, resuming, the command, and the nodes on hosted models."""

import gc
import json
import os
import subprocess
import sys

import pytest
import torch
from hosted_model import with_lora
from repository import REPO

SETTINGS = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "warm_up": 1}


@pytest.fixture(scope="module")
def distil(glue, native):
    """The modules of the training, by name."""
    return lambda name: glue(f"training.{name}")


@pytest.fixture(scope="module")
def data(distil):
    generator = torch.Generator().manual_seed(1)
    return distil("data").TrainingData(
        latents=torch.randn(6, 4, 8, 8, generator=generator), context=torch.randn(7, 5, 768, generator=generator),
        rows=torch.arange(1, 7).unsqueeze(1), empty=0)


@pytest.fixture(scope="module")
def teacher(native):
    """(UNetSpec, weights) of SD1.5's structure at width 32."""
    spec = native.preset_spec("sd15", 32)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape, has_bias in native.UNet(spec).leaves():
        weight = torch.randn(shape, generator=generator)
        scale = 1.0 if len(shape) == 1 else weight[0].numel() ** -0.5
        tensors[f"{name}.weight"] = weight * 0.1 + 1 if len(shape) == 1 else weight * scale
        if has_bias:
            tensors[f"{name}.bias"] = torch.zeros(shape[0])
    return spec, tensors


@pytest.fixture(scope="module")
def files(glue, teacher, data, tmp_path_factory):
    """Files of the teacher and of the data."""
    import safetensors.torch

    folder = tmp_path_factory.mktemp("distillation")
    glue("unet_file").write_unet(folder / "teacher.safetensors", *teacher)
    safetensors.torch.save_file({"latents": data.latents, "context": data.context, "rows": data.rows},
                                folder / "data.safetensors", metadata={"empty": str(data.empty)})
    return folder


def trainer(native, distil, teacher, data, preset="s0", **changes):
    """A Trainer of a fresh student; `changes`: of the settings, or checkpoint and on_step."""
    given = {name: changes.pop(name) for name in ("checkpoint", "on_step") if name in changes}
    spec, tensors = teacher
    distillation = native.Distillation(spec, native.compressed_spec(spec, preset))
    student = distil("weights").taken_from(distillation.student, tensors)
    settings = distil("trainer").DistilSettings(**{**SETTINGS, **changes})
    return distil("trainer").Trainer(distillation, tensors, student, data, settings,
                                     {"velocity": False, "out_channels": 4}, **given)


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_batch_is_the_same_however_it_is_shared_out(distil, data):
    batches = distil("data").Batches(data, 4, 3, velocity=True, out_channels=4)
    whole = batches.batch(5)
    halves = [distil("data").Batches(data, 4, 3, velocity=True, out_channels=4).batch(5, share)
              for share in (slice(0, 2), slice(2, 4))]
    for name, tensor in whole.items():
        if tensor is not None:
            assert torch.equal(torch.cat([half[name] for half in halves]), tensor), name
    clean = whole["signal"].view(-1, 1, 1, 1) * whole["x"] - whole["noise"].view(-1, 1, 1, 1) * whole["target"]
    assert all(any(torch.allclose(row, latent, atol=1e-4) for latent in data.latents) for row in clean)


def test_every_latent_comes_once_before_any_comes_again(distil, data):
    batches = distil("data").Batches(data, 2, 0, velocity=False, out_channels=4)
    seen = torch.cat([batches._pictures(number) for number in range(6)])
    assert sorted(seen[:6].tolist()) == list(range(6))
    assert sorted(seen[6:].tolist()) == list(range(6))
    assert seen[:6].tolist() != seen[6:].tolist()


@pytest.mark.parametrize("fault", [{"rows": torch.full((6, 1), 7)}, {"rows": torch.zeros(5, 1, dtype=torch.long)},
                                   {"latents": torch.zeros(6, 4, 8)}, {"empty": 7}])
def test_data_that_does_not_fit_is_refused(distil, data, fault):
    fields = {"latents": data.latents, "context": data.context, "rows": data.rows, "empty": data.empty}
    with pytest.raises(ValueError, match="training data: expected"):
        distil("data").TrainingData(**{**fields, **fault})


def test_an_implant_learns_what_the_teacher_has_in_its_place(native, distil, teacher, data):
    source = distil("weights").source

    def local_error(run):
        hybrid = run.distillation.hybrid(0)
        return float(run.distillation.local(0, run.validation.batch(0), source(run.distillation.teacher, teacher[1]),
                                            source(hybrid, {**teacher[1], **run.student}))["total"])

    run = trainer(native, distil, teacher, data, local_steps=12, steps=0)
    before, untouched = local_error(run), run.student["input_blocks.4.0.in_layers.2.weight"].clone()
    run.run()
    assert local_error(run) < 0.8 * before
    assert torch.equal(run.student["input_blocks.4.0.in_layers.2.weight"], untouched)


def test_training_goes_through_its_phases_and_lowers_the_loss(native, distil, teacher, data):
    records = []
    run = trainer(native, distil, teacher, data, local_steps=2, implant_steps=3, steps=12, on_step=records.append)
    before, untouched = run.validation_loss(run.student), run.student["time_embed.0.weight"].clone()
    learnt = run.run(validate_every=17)
    assert [record["phase"] for record in records] == ["S0 local"] * 2 + ["S0 implanted"] * 3 + ["assembled"] * 12
    assert records[-1]["validation"] < before
    assert run.validation_loss(learnt) == records[-1]["validation"]
    assert not torch.equal(learnt["time_embed.0.weight"], untouched)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(native, distil, teacher, data, tmp_path):
    def stop_at(step):
        def on_step(record):
            if record["step"] == step:
                raise KeyboardInterrupt
        return on_step

    phases = {"local_steps": 2, "implant_steps": 2, "steps": 3}
    whole = trainer(native, distil, teacher, data, **phases).run()
    for stop in (1, 2, 3, 6):
        checkpoint = str(tmp_path / f"{stop}.ckpt")
        with pytest.raises(KeyboardInterrupt):
            trainer(native, distil, teacher, data, **phases, checkpoint=checkpoint, on_step=stop_at(stop)).run()
        resumed = trainer(native, distil, teacher, data, **phases, checkpoint=checkpoint)
        resumed.resume()
        assert equal(resumed.run(), whole), stop


def test_a_checkpoint_of_another_run_is_refused(native, distil, teacher, data, tmp_path):
    checkpoint = str(tmp_path / "run.ckpt")
    trainer(native, distil, teacher, data, steps=1, checkpoint=checkpoint).run(save_every=1)
    with pytest.raises(ValueError, match="learning_rate 0.001, now 0.5"):
        trainer(native, distil, teacher, data, steps=1, learning_rate=0.5, checkpoint=checkpoint).resume()


def test_a_checkpoint_of_other_things_is_refused_by_their_names(native, distil, teacher, data, tmp_path):
    checkpoint = str(tmp_path / "run.ckpt")
    trainer(native, distil, teacher, data, steps=1, checkpoint=checkpoint).run(save_every=1)
    spec, tensors = teacher
    name = "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    nudged = spec, {**tensors, name: tensors[name] * 1.01}
    fields = {"latents": data.latents, "context": data.context, "rows": data.rows, "empty": data.empty}
    make = distil("data").TrainingData
    for changes, other in (
            ({}, nudged), ({"latents": data.latents + 1e-3}, teacher), ({"context": data.context * 1.001}, teacher),
            ({"rows": data.rows.flip(0)}, teacher), ({"empty": -1}, teacher)):
        fault = "another teacher" if other is nudged else "another latents" if "latents" in changes else "another descr"
        with pytest.raises(ValueError, match=rf"run\.ckpt: expected a run with the settings of now, got .*{fault}"):
            trainer(native, distil, other, make(**(fields | changes)), steps=1, checkpoint=checkpoint).resume()
    with pytest.raises(ValueError, match="another student"):
        trainer(native, distil, teacher, data, "s0_s1", steps=1, checkpoint=checkpoint).resume()
    trainer(native, distil, teacher, make(**fields), steps=1, checkpoint=checkpoint).resume()


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:len(whole) // 2],
                                    lambda whole: b"\x80\x02N.",
                                    lambda whole: whole[:100] + bytes(50) + whole[150:], lambda whole: b"<html>"])
def test_a_damaged_checkpoint_is_named(native, distil, teacher, data, tmp_path, damage):
    checkpoint = tmp_path / "run.ckpt"
    trainer(native, distil, teacher, data, steps=1, checkpoint=str(checkpoint)).run(save_every=1)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=r"run\.ckpt: expected the checkpoint of a training"):
        trainer(native, distil, teacher, data, steps=1, checkpoint=str(checkpoint)).resume()


def command(files, out, *launcher, **options):
    """Runs the command on 2 steps; the file that it wrote, read back."""
    arguments = {"teacher": files / "teacher.safetensors", "data": files / "data.safetensors", "preset": "s0",
                 "out": out, "dtype": "fp32", "local-steps": 1, "implant-steps": 1, "steps": 2, "batch-size": 4,
                 "average": 0, "learning-rate": 1e-4, **options}
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, *launcher, "-m", "python_glue", "distil", *words], cwd=REPO, text=True,
                            env=environment, capture_output=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result


def test_two_processes_learn_what_one_does(glue, files, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    command(files, one)
    command(files, two, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    (spec, ours), (other_spec, theirs) = (glue("unet_file").read_unet(path) for path in (one, two))
    assert spec == other_spec
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5
    assert not equal(ours, theirs)  # else the two did not share the work out


def test_the_command_logs_and_writes_a_file_that_loads(glue, files, tmp_path):
    out = tmp_path / "small.safetensors"
    command(files, out, **{"log-dir": tmp_path / "log", "validate-every": 2, "dtype": "fp16", "fp8-from": 4096,
                           "checkpoint": tmp_path / "run.ckpt"})
    spec, tensors = glue("unet_file").read_unet(out)
    assert spec.removed == ["in.2", "out.10"]
    assert all((tensor.dtype == torch.float8_e4m3fn) == (tensor.numel() >= 4096) for tensor in tensors.values())
    assert tensors["out.0.weight"].dtype == torch.float16
    records = [json.loads(line) for line in (tmp_path / "log" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2, 3, 4]
    assert records[-1]["validation"] > 0
    assert list((tmp_path / "log").glob("events.out.tfevents.*"))
    assert not list(tmp_path.glob("*.unfinished"))


def test_experts_learn_with_the_rest(glue, files, tmp_path):
    out = tmp_path / "experts.safetensors"
    command(files, out, experts=2)
    spec, tensors = glue("unet_file").read_unet(out)
    assert [site["site"] for site in spec.fields()["me_cond_conv"]] == [
        "in.1.res.conv2", "out.9.res.conv2", "out.11.res.conv2"]
    assert tensors["input_blocks.1.0.conv2_routing.weight"].abs().sum() > 0  # it started from zeros


def output_error(hosted, teacher, student):
    """How far the student's prediction lies from the teacher's."""
    from support import calls, measure, models

    inputs = models.random_inputs(teacher, height=8, width=8)
    results = []
    for patcher in (teacher, student):
        calls.load(patcher)
        results.append(calls.forward(patcher, inputs))
        calls.unload(patcher)
    return measure.relative_l2(results[1], results[0])


@pytest.fixture(scope="module")
def small(native, hosted):
    """MODELs of the hosted model's UNet and of a compressed one out of it."""
    student = native.execute("ASDMAssembleUNet", hosted.host, {"model": hosted.patcher, "preset": "s0", "remove": ""})
    return hosted.patcher, student["outputs"][0]


def test_the_node_trains_a_model_that_stays_usable(native, hosted, small):
    teacher, student = small
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(4, 4, 8, 8, generator=generator)
    with torch.inference_mode():  # as the host runs nodes
        result = native.execute("ASDMDistillUNet", hosted.host, {
            "teacher": teacher, "student": student, "latents": {"samples": latents},
            "positive": hosted.cond(1), "steps": 10, "learning_rate": 1e-3, "batch_size": 2})
    trained, plot = result["outputs"]
    assert plot.shape[3] == 3
    assert output_error(hosted, teacher, trained) < output_error(hosted, teacher, student)
    assert "in.2" in hosted.host.describe_model(trained)["spec"].removed


def test_an_interrupt_ends_the_node_and_the_next_run_goes_on(native, glue, hosted, small, tmp_path, monkeypatch):
    import comfy.model_management
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    given = {"teacher": small[0], "student": small[1], "latents": {"samples": torch.ones(2, 4, 8, 8)},
             "positive": hosted.cond(1), "steps": 3, "batch_size": 1, "checkpoint": "run"}
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        native.execute("ASDMDistillUNet", hosted.host, given)
    assert (tmp_path / "asdm_distillation" / "run.ckpt").is_file()
    _, losses = glue("host.hosted_training").distil_unet(small[0], small[1], given["latents"], given["positive"], {
        "steps": 3, "local_steps": 0, "implant_steps": 0, "batch_size": 1, "learning_rate": 5e-5, "seed": 0,
        "task_loss": 1.0, "output_loss": 1.0, "feature_loss": 1.0, "semantic_loss": 0.0, "checkpoint": "run"})
    assert len(losses) == 2  # one step was done before


def test_the_node_goes_on_with_nothing_that_was_learnt_of_another(native, hosted, small, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    teacher, student = small
    given = {"teacher": teacher, "student": student, "latents": {"samples": torch.ones(2, 4, 8, 8)},
             "positive": hosted.cond(1), "steps": 1, "batch_size": 1, "checkpoint": "run"}
    native.execute("ASDMDistillUNet", hosted.host, given)
    for change, fault in (({"teacher": with_lora(teacher)}, "another teacher"),
                          ({"latents": {"samples": torch.zeros(2, 4, 8, 8)}}, "another latents"),
                          ({"positive": hosted.cond(2)}, "another descriptions"),
                          ({"student": with_lora(student)}, "another student")):
        with pytest.raises(ValueError, match=rf"run\.ckpt: expected a run with the settings of now, got .*{fault}"):
            native.execute("ASDMDistillUNet", hosted.host, given | change)
    native.execute("ASDMDistillUNet", hosted.host, given)


def calibrated(native, hosted, teacher):
    return native.execute("ASDMAssembleUNet", hosted.host, {
        "model": teacher, "preset": "s0", "remove": "", "calibrate": hosted.cond(1),
        "latent": {"samples": torch.zeros(1, 4, 8, 8)}})["outputs"][0]


def test_calibration_brings_the_student_nearer_without_training(native, hosted, small):
    teacher, student = small
    mended = calibrated(native, hosted, teacher)
    assert output_error(hosted, teacher, mended) < 0.95 * output_error(hosted, teacher, student)


def test_what_is_made_of_a_native_model_needs_nothing_of_it(native, hosted):
    """Its engine asks its own model: that which it was made of goes with the graph."""
    teacher = hosted.exact()
    mended = calibrated(native, hosted, teacher)
    trained, _ = native.execute("ASDMDistillUNet", hosted.host, {
        "teacher": teacher, "student": mended, "latents": {"samples": torch.ones(2, 4, 8, 8)},
        "positive": hosted.cond(1), "steps": 1, "batch_size": 1})["outputs"]
    del mended
    gc.collect()
    latent = hosted.sample(trained)
    assert latent.isfinite().all()
    assert hosted.report(trained, latent)["native_calls"] > 0


def test_latents_and_descriptions_must_match(native, hosted, small):
    expected = r"^ASDMDistillUNet\.positive: expected one description, or one for each of the 3 latents, got 2"
    with pytest.raises(ValueError, match=expected):
        native.execute("ASDMDistillUNet", hosted.host, {
            "teacher": small[0], "student": small[1], "latents": {"samples": torch.ones(3, 4, 8, 8)},
            "positive": hosted.cond(1) + hosted.cond(2)})


@pytest.mark.parametrize("name", ["*", " ", ".", "../run", "folder/run", "x" * 300, "nul\0", "half \ud83d"])
def test_names_that_no_checkpoint_can_have_are_refused(native, hosted, small, tmp_path, monkeypatch, name):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"^ASDMDistillUNet\.checkpoint: expected"):
        native.execute("ASDMDistillUNet", hosted.host, {
            "teacher": small[0], "student": small[1], "latents": {"samples": torch.ones(1, 4, 8, 8)},
            "positive": hosted.cond(1), "steps": 1, "batch_size": 1, "checkpoint": name})
    assert not list(tmp_path.rglob("*.ckpt"))


def test_descriptions_of_different_lengths_are_taken(native, hosted, small):
    trained, _ = native.execute("ASDMDistillUNet", hosted.host, {
        "teacher": small[0], "student": small[1], "latents": {"samples": torch.ones(2, 4, 8, 8)},
        "positive": hosted.cond(1) + hosted.cond(2, tokens=154), "steps": 1, "batch_size": 2})["outputs"]
    assert hosted.sample(trained, steps=1).isfinite().all()


def test_what_was_averaged_goes_on_where_the_student_is(native, distil, teacher, data, tmp_path):
    checkpoint = str(tmp_path / "run.ckpt")
    trainer(native, distil, teacher, data, steps=2, checkpoint=checkpoint).run(save_every=1)
    resumed = trainer(native, distil, teacher, data, steps=2, checkpoint=checkpoint)
    resumed.student = {name: tensor.to("meta") for name, tensor in resumed.student.items()}
    resumed.resume()
    assert resumed.average
    assert {tensor.device.type for tensor in resumed.average.values()} == {"meta"}


def test_training_without_a_warm_up(native, distil, teacher, data):
    records = []
    trainer(native, distil, teacher, data, steps=1, warm_up=0, on_step=records.append).run()
    assert records[0]["lr"] > 0
