"""One phase of training as a torch module, so that torch's optimisers and DistributedDataParallel take it as it is."""

from dataclasses import dataclass

import torch

from .weights import source


@dataclass(frozen=True)
class Phase:
    """`steps` steps of one kind: "local" (implant on its own), "implanted" (in the frozen teacher) or "assembled"."""

    kind: str
    steps: int
    implant: int = -1
    name: str = ""


def phases_of(distillation, local_steps: int, implant_steps: int, steps: int) -> list[Phase]:
    """Incubation in its order: each implant by itself, then inside the teacher, then the whole student."""
    phases = []
    for index, implant in enumerate(distillation.implants()):
        phases += [Phase("local", local_steps, index, f"{implant['name']} local"),
                   Phase("implanted", implant_steps, index, f"{implant['name']} implanted")]
    phases.append(Phase("assembled", steps, name="assembled"))
    return [phase for phase in phases if phase.steps > 0]


class Lesson(torch.nn.Module):
    """Its parameters are the tensors that the phase trains, copied out of `student`; all else is the teacher's."""

    def __init__(self, distillation, phase: Phase, teacher: dict, student: dict, loss_weights: dict):
        super().__init__()
        self._distillation, self._phase, self._loss_weights = distillation, phase, loss_weights
        if phase.kind == "assembled":
            self._unet, around, self.names = distillation.student, {}, list(student)
        else:
            leaves = distillation.implants()[phase.implant]["trained"]
            self._unet, around = distillation.hybrid(phase.implant), teacher
            self.names = [f"{leaf}.{part}" for leaf in leaves for part in ("weight", "bias")
                          if f"{leaf}.{part}" in student]
        self.trained = torch.nn.ParameterList([student[name].clone() for name in self.names])
        self._weights = source(self._unet, {**around, **dict(zip(self.names, self.trained, strict=True))})
        self._teacher = source(distillation.teacher, teacher)

    def forward(self, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(the loss to minimise, each of its parts) of a batch."""
        step = self._distillation
        if self._phase.kind == "assembled":
            losses = step.assembled(batch, self._teacher, self._weights, self._loss_weights)
        elif self._phase.kind == "implanted":
            losses = step.implanted(self._phase.implant, batch, self._teacher, self._weights, self._loss_weights)
        else:
            losses = step.local(self._phase.implant, batch, self._teacher, self._weights)
        return losses["total"], {name: value.detach() for name, value in losses.items()}

    def learnt(self) -> dict[str, torch.Tensor]:
        """The trained tensors, by name."""
        return {name: parameter.detach() for name, parameter in zip(self.names, self.trained, strict=True)}
