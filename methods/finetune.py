"""finetune: the task loss only, the student without a teacher."""

from dataclasses import dataclass

from torch import Tensor, nn

from kinds import Kind
from methods.running.seam import Needs
from methods.running.task_loss import task_loss
from models.outputs import Outputs


@dataclass(frozen=True)
class Finetune:
    """L = mean task loss: the baseline of every distillation, and how the teacher is trained."""

    @property
    def needs(self) -> Needs:
        return Needs(teacher="none")

    def loss(
        self,
        student: Outputs,
        teacher: Outputs | None,
        labels: Tensor,
        kind: Kind,
        *,
        projection: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        """See `Method.loss`; teacher and projection are not read."""
        return {"loss": task_loss(student.logits, labels, kind)}
