"""sftn: a teacher that was trained with its student in mind (Park et al., NeurIPS 2021, "Learning Student-Friendly Teacher
Networks for Knowledge Distillation", arXiv:2102.07650, section 3).

    teacher   L = CE(y, p_T) + branch_weight * mean_i CE(y, p_i) + agreement_weight * mean_i tau^2 * KL(p_T^tau || p_i^tau)
    student   L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau)

p_i are the answers of student branches: branch i stands on a middle layer of the teacher and goes on with the student's own
later layers (models/branches.py). The divergence is a constant to neither side, so the teacher's layers become such as a
student can read. Then the branches are dropped, and the student learns from the teacher as in kd. Regression has no
softmax: every divergence is a squared error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from errors import UserError
from kinds import Kind
from methods.interface import LossInputs, Needs
from methods.soft_targets import divergence
from methods.task_loss import task_loss
from models.model_outputs import Outputs


@dataclass(frozen=True)
class FriendlyTeacher:
    """The teacher's loss."""

    branch_weight: float
    agreement_weight: float
    temperature: float

    def loss(self, teacher: Outputs, labels: Tensor, kind: Kind) -> dict[str, Tensor]:
        """ "loss" to minimise; parts are `task`, `branches` and `agreement` (before their weights), detached."""
        task = task_loss(teacher.logits, labels, kind)
        branches = _mean({place: task_loss(said, labels, kind) for place, said in teacher.branches.items()})
        agreement = _mean(
            {
                place: divergence(said, teacher.logits, kind, self.temperature)
                for place, said in teacher.branches.items()
            }
        )
        total = task + self.branch_weight * branches + self.agreement_weight * agreement
        parts = {"task": task, "branches": branches, "agreement": agreement}
        return {"loss": total, **{name: value.detach() for name, value in parts.items()}}


@dataclass(frozen=True)
class Sftn:
    """The student's loss on the signals of a teacher trained by `FriendlyTeacher`."""

    alpha: float
    temperature: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task` and `soft` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        return {"loss": total, "task": task.detach(), "soft": soft.detach()}


def _mean(terms: Mapping[int, Tensor]) -> Tensor:
    if not terms:
        raise UserError("sftn: the teacher has no branches; a student of 2 layers or more makes one or more")
    return torch.stack(list(terms.values())).mean()
