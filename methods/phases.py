"""Shares of epochs and losses of phases, for methods whose loss changes over the student's epochs."""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs, same_shape
from methods.task_loss import task_loss


@dataclass(frozen=True)
class ScaledLogits:
    """L = mean over rows of the sum over classes of (z_S - factor * z_T)^2; the labels' loss is logged only."""

    factor: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; `task` is logged only."""
        target = self.factor * given.teacher.logits.to(given.student.logits.dtype)
        same_shape("scaled logits", given.student.logits, target, "logits")
        loss = ((given.student.logits - target) ** 2).sum(-1).mean()
        return {"loss": loss, "task": task_loss(given.student.logits.detach(), given.labels, given.kind)}


@dataclass(frozen=True)
class LabelsOnly:
    """L = mean task loss."""

    @property
    def needs(self) -> Needs:
        return Needs(teacher="none")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; ignores the teacher."""
        loss = task_loss(given.student.logits, given.labels, given.kind)
        return {"loss": loss, "task": loss.detach()}


def taught_epochs(epochs: int, label_share: float) -> int:
    """Epochs of phase I: the rest after phase II, at least one."""
    return max(1, epochs - round(epochs * label_share))


def steps_taken(epoch: int, epochs: int, steps: int) -> int:
    """The step (1 to `steps`) of an epoch (1 to `epochs`), spread evenly; the last epoch has the last step."""
    return -(-epoch * steps // epochs)
