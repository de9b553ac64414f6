"""takd: a teacher assistant (Mirzadeh et al., AAAI 2020, arXiv:1902.03393, Eq. 1 to 3).

    teacher -> assistant -> student, each step by
    L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau),    p_T the next larger network's

The assistant's size lies between both: with too large a gap the student can't follow the teacher. One assistant, made once
for a dataset and seed; the paper's chains of several come later. The paper's lambda is 1 - alpha. Regression: the squared
error to the larger network's output.
"""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Takd:
    """Parameters of the loss of both steps; alpha weighs the task loss."""

    alpha: float
    temperature: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; the teacher is the next larger network. Parts are `task` and `soft` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        return {"loss": total, "task": task.detach(), "soft": soft.detach()}
