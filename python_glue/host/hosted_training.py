"""Calibrating and distilling the host's models: what the graph brings, as python_glue/training takes it."""

import math
import os

import comfy.model_management
import comfy.sample
import comfy.utils
import folder_paths
import torch

from .. import native
from ..training.data import TrainingData, noise_of
from ..training.trainer import DistilSettings, Trainer
from ..training.weights import calibrate, taken_from
from .assembly import baked_tensors, check_file_name, with_weights
from .sampled_as import prediction_of, record_of
from .unet_config import describe

CALIBRATION_STEPS = 8
# Pictures that the families were trained at, in latent pixels.
_TRAINED_SIZE = {"sd1": 64, "sd2": 64, "sdxl": 128, "sdxl_refiner": 128}
_SAVED_EVERY = 100  # steps
_LOSSES = ("task", "output", "feature", "semantic")


class Training:
    """A teacher and its student on the training device, in fp32, with all patches of the two baked in."""

    def __init__(self, teacher, student):
        self.spec, self.student_spec = (describe(patcher.model)["spec"].replace(prediction=prediction_of(patcher))
                                        for patcher in (teacher, student))
        self.distillation = native.native_module().Distillation(self.spec, self.student_spec)
        self.device = teacher.load_device
        # One after the other: the two may share weights, and what is loaded for the one is patched in place.
        self.teacher = self._copies(self.distillation.teacher, teacher)
        self.student = self._copies(self.distillation.student, student)
        self._template = student

    def _copies(self, unet, patcher) -> dict[str, torch.Tensor]:
        return {name: tensor.to(self.device) for name, tensor in taken_from(unet, baked_tensors(patcher)).items()}

    def model(self, learnt: dict[str, torch.Tensor]):
        """A MODEL like the student with the weights `learnt`."""
        dtype = self._template.model.get_dtype()
        tensors = {name: tensor.detach().to(self._template.offload_device, dtype) for name, tensor in learnt.items()}
        return with_weights(self._template, self.student_spec, tensors, keeps_patches=False)


def calibrate_unet(teacher, student, conditioning: list, latent: dict | None):
    """See nodes/host.h."""
    _check_conditioning(teacher, conditioning, "ASDMAssembleUNet.calibrate")
    if latent:
        _check_latent(teacher, latent, "ASDMAssembleUNet.latent")
    calls = _observed_calls(teacher, conditioning, latent)
    with torch.inference_mode(False):
        training = Training(teacher, student)
        batches = [{name: None if tensor is None else tensor.to(training.device, torch.float32, copy=True)
                    for name, tensor in call.items()} for call in calls]
        calibrate(training.distillation, training.teacher, training.student, batches,
                  comfy.model_management.throw_exception_if_processing_interrupted)
        return training.model(training.student)


def _check_latent(patcher, latent: dict, where: str):
    """ValueError at `where` for samples that are no pictures of this model."""
    shape, channels = list(latent["samples"].shape), patcher.get_model_object("latent_format").latent_channels
    if len(shape) != 4 or shape[1] != channels or 0 in shape:
        raise ValueError(f"{where}: expected a LATENT [batch, {channels}, height, width], got {shape}")


def _check_conditioning(patcher, conditioning: list, where: str):
    """ValueError at `where` for text features of another model."""
    width = describe(patcher.model)["spec"].context_dim
    for features, _ in conditioning:
        shape = list(features.shape) if torch.is_tensor(features) else type(features).__name__
        if not torch.is_tensor(features) or len(shape) != 3 or shape[2] != width:
            raise ValueError(f"{where}: expected text features [batch, tokens, {width}], got {shape}")


def _observed_calls(teacher, conditioning: list, latent: dict | None) -> list[dict]:
    """The inputs of the UNet in one short run of `teacher`."""
    calls = []
    sampling = teacher.get_model_object("model_sampling")

    def watch(apply_model, arguments):
        x, sigma, given = arguments["input"], arguments["timestep"], arguments["c"]
        scaled = sampling.calculate_input(sigma, x)
        if given.get("c_concat") is not None:
            scaled = torch.cat([scaled, given["c_concat"]], dim=1)
        calls.append({"x": scaled, "timesteps": sampling.timestep(sigma), "context": given["c_crossattn"],
                      "y": given.get("y")})
        return apply_model(x, sigma, **given)

    watched = teacher.clone()
    watched.set_model_unet_function_wrapper(watch)
    samples = latent["samples"] if latent else _blank_latent(teacher)
    noise = comfy.sample.prepare_noise(samples, 0)
    comfy.sample.sample(watched, noise, CALIBRATION_STEPS, 1.0, "euler", "normal", conditioning, conditioning, samples,
                        disable_pbar=True, seed=0)
    return calls


def _blank_latent(patcher) -> torch.Tensor:
    size = _TRAINED_SIZE[describe(patcher.model)["spec"].family]
    return torch.zeros([1, patcher.model.latent_format.latent_channels, size, size])


def distil_unet(teacher, student, latents: dict, conditioning: list, options: dict) -> tuple:
    """(MODEL, loss of each step); see nodes/host.h."""
    with torch.inference_mode(False), torch.enable_grad():
        _check_latent(teacher, latents, "ASDMDistillUNet.latents")
        _check_conditioning(teacher, conditioning, "ASDMDistillUNet.positive")
        data = _training_data(teacher, latents, conditioning)
        training = Training(teacher, student)
        settings = DistilSettings(
            **{name: options[name] for name in ("local_steps", "implant_steps", "steps", "batch_size", "learning_rate",
                                                "seed")},
            loss_weights={name: options[f"{name}_loss"] for name in _LOSSES})
        noise = {**_noise(teacher), "out_channels": training.spec.out_channels, "device": training.device}
        losses = []
        progress = comfy.utils.ProgressBar(0)

        def on_step(record: dict):
            losses.append(record["total"])
            progress.update_absolute(record["step"], trainer.steps)
            comfy.model_management.throw_exception_if_processing_interrupted()

        checkpoint = _checkpoint_path(options["checkpoint"])
        trainer = Trainer(training.distillation, training.teacher, training.student, data, settings, noise, checkpoint,
                          on_step)
        if checkpoint is not None and os.path.exists(checkpoint):
            trainer.resume()
        learnt = trainer.run(save_every=_SAVED_EVERY if checkpoint else 0)
        return training.model(learnt), losses


def _noise(teacher) -> dict:
    unknown = type(teacher.get_model_object("model_sampling")).__name__
    try:
        return noise_of(record_of(teacher) or {"classes": [unknown, "another pack's code"]})
    except ValueError as fault:
        raise ValueError(f"ASDMDistillUNet.teacher: {fault}") from fault


def _checkpoint_path(name: str) -> str | None:
    if not name:
        return None
    where = "ASDMDistillUNet.checkpoint"
    folder = os.path.join(folder_paths.get_output_directory(), "asdm_distillation")
    path = os.path.abspath(os.path.join(folder, f"{name}.ckpt"))
    if os.path.dirname(path) != os.path.abspath(folder):
        raise ValueError(f"{where}: expected a name without folders, got {name!r}")
    check_file_name(name, where)
    os.makedirs(folder, exist_ok=True)
    return path


def _training_data(patcher, latents: dict, conditioning: list) -> TrainingData:
    """The latents as the UNet sees them, each with its conditioning."""
    model = patcher.model
    samples = patcher.get_model_object("latent_format").process_in(latents["samples"].float().cpu())
    # A prompt that is told twice says the same, so that all can have one length; the host does likewise.
    tokens = math.lcm(*(cond.shape[1] for cond, _ in conditioning))
    context = torch.cat([cond.float().cpu().repeat(1, tokens // cond.shape[1], 1) for cond, _ in conditioning])
    count, described = len(samples), len(context)
    if described not in (1, count):
        raise ValueError(f"ASDMDistillUNet.positive: expected one description, or one for each of the {count} latents, "
                         f"got {described}")
    rows = torch.arange(count).clamp(max=described - 1).unsqueeze(1)
    size = {"width": samples.shape[3] * 8, "height": samples.shape[2] * 8}  # pixels
    vectors = [model.encode_adm(device="cpu", noise=samples[:1], **{**size, **options}) for _, options in conditioning]
    y = None if vectors[0] is None else torch.cat([vector.float().cpu() for vector in vectors])
    return TrainingData(latents=samples, context=context, rows=rows, y=y)
