"""`distil`: makes a compressed UNet out of a full one and trains it back to what that does, on one machine or many.

    python -m python_glue distil --teacher FULL.safetensors --preset s0_s1 --data DATA.safetensors --out SMALL
    torchrun --nproc-per-node 8 -m python_glue distil ...
"""

import argparse
import contextlib
import json
import logging
import os
from pathlib import Path

import torch
import torch.distributed

from .. import native
from ..unet_file import read_sampling, read_unet, write_unet
from .data import Batches, TrainingData, noise_of
from .expert_start import start_tensors
from .trainer import DistilSettings, Trainer
from .weights import calibrate, taken_from

CALIBRATION_BATCHES = 8
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
log = logging.getLogger("asdm")


def add_to(commands):
    """Adds the command to an argparse group of commands."""
    parser = commands.add_parser("distil", help="train a compressed UNet", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument("--teacher", required=True, help="file of the full UNet, in any layout that ASDMLoadUNet opens")
    parser.add_argument("--student", help="file of the compressed UNet to go on from, instead of --preset and --remove")
    parser.add_argument("--preset", default="", help="pruning map: what to take out of the teacher")
    parser.add_argument("--remove", nargs="*", default=[], metavar="ADDRESS", help="parts to take out as well: in.2")
    parser.add_argument("--calibrate", action="store_true", help="mend the cuts in closed form before training")
    parser.add_argument("--experts", type=int, default=0, metavar="N",
                        help="gives the student ME-CondConv with N experts; 0 leaves its convolutions as they are")
    parser.add_argument("--routing", default="softmax", help="of the experts: softmax or sigmoid")
    parser.add_argument("--routing-source", default="input", help="what routes them: input, input_shared or time")
    parser.add_argument("--data", required=True, help="file with latents, context and rows (docs/distillation.md)")
    parser.add_argument("--out", required=True, help="file to write the trained UNet to")
    parser.add_argument("--dtype", choices=list(_DTYPES), default="fp16", help="of the written file")
    parser.add_argument("--fp8-from", type=int, default=0, metavar="ELEMENTS",
                        help="writes tensors with at least so many elements in fp8 (e4m3), which ASDMLoadUNet widens "
                             "again: a file of half the size, with rounded weights; 0 writes none so")
    parser.add_argument("--checkpoint", help="file to save the training to, and to resume it from where it exists")
    parser.add_argument("--save-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--validate-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--log-dir", help="folder for TensorBoard's events and log.jsonl")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    defaults = DistilSettings()
    for name in ("local_steps", "implant_steps", "steps", "batch_size", "seed", "warm_up"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("learning_rate", "average"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    for name, weight in defaults.loss_weights.items():
        parser.add_argument(f"--{name}-loss", type=float, default=weight, help="weight of this loss")


def settings_of(options) -> DistilSettings:
    return DistilSettings(
        local_steps=options.local_steps, implant_steps=options.implant_steps, steps=options.steps,
        batch_size=options.batch_size, learning_rate=options.learning_rate, seed=options.seed, warm_up=options.warm_up,
        average=options.average,
        loss_weights={name: getattr(options, f"{name}_loss") for name in DistilSettings().loss_weights})


def run(options):
    """The command itself."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with _processes(options.device) as device:
        _distil(options, device)


@contextlib.contextmanager
def _processes(device: str):
    """Joins the processes that torchrun started, where it did; the device of this one."""
    if "WORLD_SIZE" not in os.environ:
        yield torch.device(device)
        return
    on_gpu = device.startswith("cuda")
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device(device)
    finally:
        torch.distributed.destroy_process_group()


def _distil(options, device: torch.device):
    core = native.native_module()
    teacher_spec, teacher = read_unet(options.teacher)
    if options.student:
        student_spec, student = read_unet(options.student)
    else:
        student_spec, student = core.compressed_spec(teacher_spec, options.preset, options.remove), teacher
    distillation = core.Distillation(teacher_spec, student_spec)
    teacher = {name: tensor.to(device) for name, tensor in taken_from(distillation.teacher, teacher).items()}
    student = {name: tensor.to(device) for name, tensor in taken_from(distillation.student, student).items()}
    sampling = read_sampling(options.teacher)
    noise = {"velocity": teacher_spec.prediction == "v", **(noise_of(sampling) if sampling else {}),
             "out_channels": teacher_spec.out_channels, "device": device}
    settings, data = settings_of(options), TrainingData.load(options.data)
    if options.calibrate:
        batches = Batches(data, settings.batch_size, settings.seed + 1, **noise)
        calibrate(distillation, teacher, student, [batches.batch(number) for number in range(CALIBRATION_BATCHES)])
    if options.experts:
        student_spec, starts = core.start_me_cond_conv(
            student_spec, teacher_spec, experts=options.experts, routing=options.routing, source=options.routing_source,
            seed=options.seed)
        student |= start_tensors(student_spec, starts, student, teacher)
        distillation = core.Distillation(teacher_spec, student_spec)
    first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    with _logged(options.log_dir if first else None) as on_step:
        trainer = Trainer(distillation, teacher, student, data, settings, noise, options.checkpoint, on_step)
        if options.checkpoint and os.path.exists(options.checkpoint):
            trainer.resume()
            log.info("%s: goes on", options.checkpoint)
        learnt = trainer.run(options.save_every, options.validate_every)
    if first:
        write_unet(options.out, student_spec, {name: tensor.to("cpu", _dtype_in_file(tensor, options))
                                               for name, tensor in learnt.items()}, sampling)
        log.info("%s: written", options.out)


def _dtype_in_file(tensor: torch.Tensor, options) -> torch.dtype:
    in_fp8 = options.fp8_from and tensor.numel() >= options.fp8_from
    return torch.float8_e4m3fn if in_fp8 else _DTYPES[options.dtype]


@contextlib.contextmanager
def _logged(folder: str | None):
    """A function that takes the record of a step: to TensorBoard, to log.jsonl, and those with a validation loss to the
    log."""
    if folder is None:
        yield lambda record: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as board, open(Path(folder) / "log.jsonl", "a", encoding="utf-8") as lines:
        def write(record: dict):
            for name, value in record.items():
                if isinstance(value, float):
                    board.add_scalar(name, value, record["step"])
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            if "validation" in record:
                log.info("%s", json.dumps(record))

        yield write
