"""pesf_kd: only the teacher's last layer follows the student (Rao et al., 2022, "Parameter-Efficient and Student-Friendly
Knowledge Distillation", arXiv:2205.15308, section 3).

One step, on a training batch, both losses from the networks as they are:
  teacher:  CE(y, p_T) + follow * tau^2 * KL(p_S^tau || p_T^tau)                     (the student is a constant)
  student:  alpha * CE(y, p_S) + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau)         (the teacher is a constant)

The teacher never runs: what stands below its head is frozen, and read from the signals. Regression has no softmax: both
divergences are squared errors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from methods.co_training import Pair, TrainingBatch, detached
from methods.interface import Needs
from methods.soft_targets import divergence
from methods.task_loss import task_loss


@dataclass(frozen=True)
class PesfKd:
    """`follow`: weight of the term that pulls the teacher's head towards the student."""

    alpha: float
    temperature: float
    follow: float

    @property
    def needs(self) -> Needs:
        # The paper trains a small adapter behind the frozen backbone. Here that is the teacher's own head, a linear layer on
        # the pooled vector, so that the frozen part is a constant of the row.
        return Needs(teacher="head_moves")

    @property
    def teacher_starts(self) -> Literal["finetuned"]:
        """Start from the fine-tuned teacher, whose backbone stays frozen."""
        return "finetuned"

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        """See `MovingTeacher.step`; ignores the quiz."""
        ours = pair.student.forward(batch)
        theirs = pair.teacher.forward(batch)
        own = task_loss(theirs.logits, batch.labels, pair.kind)
        follow = divergence(theirs.logits, detached(ours).logits, pair.kind, self.temperature)
        task = task_loss(ours.logits, batch.labels, pair.kind)
        soft = divergence(ours.logits, detached(theirs).logits, pair.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        pair.teacher.descend(own + self.follow * follow)
        pair.student.descend(total)
        student = {"loss": total.item(), "task": task.item(), "soft": soft.item()}
        return student | {"teacher": own.item(), "follow": follow.item()}
