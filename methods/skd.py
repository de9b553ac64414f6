"""skd: spherical distillation (Guo et al., 2022, "Reducing the teacher-student gap via spherical knowledge distillation").

    L = alpha * task + (1 - alpha) * tau^2 * KL(softmax(m * u_T / tau) || softmax(m * u_S / tau))
    u = (z - mean over classes of z), divided by its norm;   m = mean norm of the teacher's centred logits in the batch

Only the direction of the logits is taught, at the teacher's scale.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import normalize

from errors import UserError
from methods.interface import LossInputs, Needs, same_shape
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Skd:
    """kd's parameters."""

    alpha: float
    temperature: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task` and `soft` (before their weights)."""
        same_shape("skd", given.student.logits, given.teacher.logits, "logits")
        # With two classes a centred unit vector is one of two points, and one output (regression) has no direction.
        if given.student.logits.shape[1] < 3:
            raise UserError(
                "skd: with fewer than 3 classes a centred unit vector of logits has no gradient; use kd or dist"
            )
        theirs = centred(given.teacher.logits.to(given.student.logits.dtype))
        scale = theirs.norm(dim=-1).mean()
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(
            scale * normalize(centred(given.student.logits), dim=-1),
            scale * normalize(theirs, dim=-1),
            given.kind,
            self.temperature,
        )
        total = self.alpha * task + (1 - self.alpha) * soft
        return {"loss": total, "task": task.detach(), "soft": soft.detach()}


def centred(logits: Tensor) -> Tensor:
    """(B, C) minus the mean over classes."""
    return logits - logits.mean(-1, keepdim=True)
