"""The training loop: torch's AdamW over the phases of incubation, in one process or many, resumable to the bit."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from .checkpoint import fingerprint, is_alike, load, sample_of, save
from .data import Batches, TrainingData
from .lesson import Lesson, Phase, phases_of
from .weights import source

VALIDATION_SEED, VALIDATION_BATCHES = 7, 8
_KEPT = ("settings", "depends_on", "began_as", "phase", "step", "student", "average", "optimizer")


@dataclass(frozen=True)
class DistilSettings:
    """What decides the result; a run resumes only under the settings that it began with."""

    local_steps: int = 0        # of each implant by itself
    implant_steps: int = 0      # of each implant inside the frozen teacher
    steps: int = 1000           # of the whole student
    batch_size: int = 16        # of all processes together
    learning_rate: float = 5e-5
    seed: int = 0
    warm_up: int = 20           # steps of each phase; 0 for none
    average: float = 0.98       # decay of the running mean of the weights that is the result; 0 = the last weights
    loss_weights: dict = field(default_factory=lambda: {"task": 1.0, "output": 1.0, "feature": 1.0, "semantic": 0.0})


def task_loss(distillation, teacher: dict, student: dict, batches: list[dict]) -> float:
    """Mean squared error of the student's prediction against the noise (or velocity) that was put in."""
    loss = {"task": 1.0, "output": 0.0, "feature": 0.0, "semantic": 0.0}
    weights, known = source(distillation.student, student), source(distillation.teacher, teacher)
    with torch.no_grad():
        losses = [distillation.assembled(batch, known, weights, loss)["task"] for batch in batches]
    return float(torch.stack(losses).mean())


class Trainer:
    """`student`: fp32 tensors by their names in the full UNet; run() trains them. `on_step` gets a dict after every
    step, in the first process alone; what it raises ends the training after a checkpoint."""

    def __init__(self, distillation, teacher: dict, student: dict, data: TrainingData, settings: DistilSettings,
                 noise: dict, checkpoint: str | None = None, on_step: Callable[[dict], None] = lambda record: None):
        self.distillation, self.teacher, self.student = distillation, teacher, student
        self.settings, self.checkpoint, self.on_step = settings, checkpoint, on_step
        self.processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.rank = torch.distributed.get_rank() if self.processes > 1 else 0
        if settings.batch_size % self.processes:
            raise ValueError(f"batch_size: expected a multiple of the {self.processes} processes, "
                             f"got {settings.batch_size}")
        self.batches = Batches(data, settings.batch_size, settings.seed, **noise)
        self.validation = Batches(data, settings.batch_size, VALIDATION_SEED, **{**noise, "balanced": False})
        self.phases = phases_of(distillation, settings.local_steps, settings.implant_steps, settings.steps)
        self.steps = sum(phase.steps for phase in self.phases)
        self.average: dict[str, torch.Tensor] = {}
        self._depends_on = None if checkpoint is None else {
            "teacher": fingerprint(teacher), "latents": fingerprint(data.latents),
            "descriptions": fingerprint(data.context, data.rows, data.y, data.empty),
            "sampling": fingerprint({name: value for name, value in noise.items() if name != "device"})}
        self._began_as = None if checkpoint is None else sample_of(student)
        self._start = (0, 0)  # phase, step
        self._optimizer_state: dict | None = None
        self.done = 0         # steps of all phases

    def run(self, save_every: int = 0, validate_every: int = 0) -> dict[str, torch.Tensor]:
        """The student's tensors after all phases."""
        self.done = sum(phase.steps for phase in self.phases[:self._start[0]]) + self._start[1]
        for index in range(self._start[0], len(self.phases)):
            self._run_phase(index, self._start[1] if index == self._start[0] else 0, save_every, validate_every)
        return self.result()

    def result(self) -> dict[str, torch.Tensor]:
        """The averaged weights where they are averaged, else the last ones."""
        return {**self.student, **self.average}

    def validation_loss(self, tensors: dict[str, torch.Tensor]) -> float:
        """Mean squared error of the student with `tensors` against the noise that was put in, on batches of its own."""
        return task_loss(self.distillation, self.teacher, tensors,
                         [self.validation.batch(number) for number in range(VALIDATION_BATCHES)])

    def _run_phase(self, index: int, first: int, save_every: int, validate_every: int):
        phase = self.phases[index]
        lesson = Lesson(self.distillation, phase, self.teacher, self.student, self.settings.loss_weights)
        module = DistributedDataParallel(lesson) if self.processes > 1 else lesson
        optimizer = torch.optim.AdamW(lesson.parameters(), lr=self.settings.learning_rate, betas=(0.9, 0.99),
                                      weight_decay=0.01)
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state)
            self._optimizer_state = None
        share = self._share()
        for step in range(first, phase.steps):
            optimizer.param_groups[0]["lr"] = self._learning_rate(phase, step)
            optimizer.zero_grad(set_to_none=True)
            loss, parts = module(self.batches.batch(self.done, share))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(lesson.parameters(), 1.0)
            optimizer.step()
            self.done += 1
            self._learn(lesson, phase, step)
            if self.rank == 0:
                self._report(phase, step, parts, optimizer.param_groups[0]["lr"], validate_every,
                             lambda at=step: self._save(index, at + 1, optimizer))
                if save_every and self.done % save_every == 0:
                    self._save(index, step + 1, optimizer)
        if self.rank == 0 and save_every:
            self._save(index + 1, 0, None)

    def _share(self) -> slice:
        """This process's samples of every batch."""
        size = self.settings.batch_size // self.processes
        return slice(self.rank * size, (self.rank + 1) * size)

    def _learning_rate(self, phase: Phase, step: int) -> float:
        """Warm-up, then a cosine down to a hundredth."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / phase.steps))
        return self.settings.learning_rate * min(1.0, (step + 1) / max(1, self.settings.warm_up)) * (
            0.01 + 0.99 * cosine)

    def _learn(self, lesson: Lesson, phase: Phase, step: int):
        """Takes over what the step has changed."""
        for name, tensor in lesson.learnt().items():
            self.student[name].copy_(tensor)
        if phase.kind != "assembled" or not self.settings.average:
            return
        decay = min(self.settings.average, (1 + step) / (10 + step))
        for name, tensor in lesson.learnt().items():
            self.average.setdefault(name, tensor.clone()).lerp_(tensor, 1 - decay)

    def _report(self, phase: Phase, step: int, parts: dict, rate: float, validate_every: int, save: Callable[[], None]):
        record = {"step": self.done, "phase": phase.name, "lr": rate,
                  **{name: float(value) for name, value in parts.items()}}
        last = step + 1 == phase.steps
        if validate_every and (self.done % validate_every == 0 or last):
            record["validation"] = self.validation_loss(self.result())
        try:
            self.on_step(record)
        except BaseException:
            save()
            raise

    def _save(self, phase: int, step: int, optimizer):
        if self.checkpoint is None:
            return
        values = (asdict(self.settings), self._depends_on, self._began_as, phase, step, self.student, self.average,
                  None if optimizer is None else optimizer.state_dict())
        save(self.checkpoint, dict(zip(_KEPT, values, strict=True)))

    def resume(self):
        """Goes on from the checkpoint. ValueError where it is of a training under other settings or of other things."""
        state = load(self.checkpoint, _KEPT)
        settings = asdict(self.settings)
        changed = [f"{name} {state['settings'].get(name)}, now {value}" for name, value in settings.items()
                   if state["settings"].get(name) != value]
        changed += [f"another {name}" for name, value in self._depends_on.items()
                    if state["depends_on"].get(name) != value]
        changed += [] if is_alike(self._began_as, state["began_as"]) else ["another student"]
        if changed:
            raise ValueError(f"{self.checkpoint}: expected a run with the settings of now, got " + "; ".join(changed))
        for name, tensor in state["student"].items():
            self.student[name].copy_(tensor)
        self.average = {name: tensor.to(self.student[name].device) for name, tensor in state["average"].items()}
        self._start = (state["phase"], state["step"])
        self._optimizer_state = state["optimizer"]
