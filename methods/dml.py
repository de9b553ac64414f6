"""dml: deep mutual learning (Zhang et al., CVPR 2018, arXiv:1706.00384, Eq. 5 to 8).

Two peers, here of the teacher's and the student's size; on each batch, one after the other:
  peer 1:  CE(y, p_1) + weight * KL(p_2 || p_1)
  peer 2:  CE(y, p_2) + weight * KL(p_1 || p_2)     (with peer 1 as it now is, and new dropout masks: `same_masks`)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from methods.co_training import Pair, TrainingBatch, detached
from methods.dropout_masks import RandomState
from methods.interface import Needs
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class Dml:
    """`weight` of the loss towards the peer; the paper's is 1. Peers start alike: before any fine-tuning.

    `same_masks`: peer 1 answers after its step with the dropout masks that it had before.
    """

    weight: float
    teacher_starts: Literal["finetuned", "pretrained"]
    same_masks: bool

    @property
    def needs(self) -> Needs:
        return Needs(teacher="moves")

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        """See `MovingTeacher.step`; ignores the quiz."""
        ours = pair.student.forward(batch)
        masks = RandomState.now(batch.labels.device)
        theirs = pair.teacher.forward(batch)
        learnt = divergence(theirs.logits, detached(ours).logits, pair.kind, 1.0)
        own = task_loss(theirs.logits, batch.labels, pair.kind)
        pair.teacher.descend(own + self.weight * learnt)
        peer = pair.teacher.forward_no_grad(batch, masks=masks if self.same_masks else None)
        task = task_loss(ours.logits, batch.labels, pair.kind)
        soft = divergence(ours.logits, peer.logits, pair.kind, 1.0)
        total = task + self.weight * soft
        pair.student.descend(total)
        return {"loss": total.item(), "task": task.item(), "soft": soft.item(), "teacher": own.item()}
