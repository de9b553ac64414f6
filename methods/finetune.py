"""finetune: the task loss only, the student without a teacher."""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Finetune:
    """L = mean task loss: the baseline of every distillation, and how the teacher is trained."""

    @property
    def needs(self) -> Needs:
        return Needs(teacher="none")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; teacher and projection are not read."""
        return {"loss": task_loss(given.student.logits, given.labels, given.kind)}
