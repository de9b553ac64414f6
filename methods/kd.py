"""kd: soft targets (Hinton et al., 2015, arXiv:1503.02531).

    L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau),    p^tau = softmax(z / tau)

tau^2 keeps the size of the soft term's gradient as tau grows (section 2 there). Regression has no softmax: its soft
term is MSE(z_T, z_S), and tau is not read.
"""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Kd:
    """Parameters of the loss; alpha weighs the task loss."""

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
