"""kd: soft targets (Hinton et al., 2015, arXiv:1503.02531).

    L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau),    p^tau = softmax(z / tau)

tau^2 keeps the size of the soft term's gradient as tau grows (section 2 there). Regression has no softmax: its soft
term is MSE(z_T, z_S), and tau is not read.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from kinds import Kind
from methods.running.seam import Needs, teacher_given
from methods.running.soft_targets import divergence
from methods.running.task_loss import task_loss
from models.outputs import Outputs


@dataclass(frozen=True)
class Kd:
    """Parameters of the loss; alpha weighs the task loss."""

    alpha: float = 0.5
    temperature: float = 2.0

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(
        self,
        student: Outputs,
        teacher: Outputs | None,
        labels: Tensor,
        kind: Kind,
        *,
        projection: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task` and `soft` (before their weights)."""
        teacher = teacher_given("kd", teacher)
        task = task_loss(student.logits, labels, kind)
        soft = divergence(student.logits, teacher.logits, kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        return {"loss": total, "task": task.detach(), "soft": soft.detach()}
