"""rco: route constrained optimization (Jin et al., ICCV 2019, arXiv:1904.09149, section 3.2).

The teacher's training is a route; some of its epochs ("anchors") are targets one after the other, easy to hard, each
with kd's loss.
"""

from dataclasses import dataclass

from torch import Tensor

from methods.interface import LossInputs, Needs, Phase
from methods.phases import steps_taken
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Rco:
    """kd's parameters and the number of anchors (config/method_parameters.py bounds it by both networks' epochs)."""

    alpha: float
    temperature: float
    anchors: int

    @property
    def needs(self) -> Needs:
        return Needs(teacher="trajectory")

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        # The paper searches anchors greedily by a KL threshold. Here they are spread evenly over the route and end with its
        # last epoch, as in the papers that compare with it (MetaDistil: four anchors).
        anchors = min(self.anchors, teacher_epochs)
        anchor = steps_taken(epoch, epochs, anchors)
        on_route = steps_taken(anchor, anchors, teacher_epochs)
        return Phase(f"anchor {anchor}", self, teacher_epoch=on_route)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; `teacher` is the anchor; parts are `task` and `soft` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        return {"loss": total, "task": task.detach(), "soft": soft.detach()}
