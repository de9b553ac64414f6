"""finetune: the task loss only, without a teacher."""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Finetune:
    """L = mean task loss: the baseline of every distillation, and the training of the teacher."""

    @property
    def needs(self) -> Needs:
        return Needs(teacher="none")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; ignores teacher and projection."""
        return {"loss": task_loss(given.student.logits, given.labels, given.kind)}
