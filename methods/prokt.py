"""prokt: a teacher that stays near its student (Shi et al., ECML 2021, "Follow your path: a progressive method for
knowledge distillation", Algorithm 1).

One step, on a training batch:
  teacher:  CE(y, p_T) + proximal * KL(p_S || p_T)                          (the student is a constant)
  student:  alpha * CE(y, p_S) + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau)      (with the new teacher)

The paper derives the proximal term from mirror descent: each local target of the student is the nearest point on the
teacher's way to the labels.
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
class ProKt:
    """`proximal`: weight of the term that keeps the teacher near the student.

    `same_masks`: the teacher answers after its step with the dropout masks that it had before.
    """

    alpha: float
    temperature: float
    proximal: float
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
        near = divergence(theirs.logits, detached(ours).logits, pair.kind, 1.0)
        own = task_loss(theirs.logits, batch.labels, pair.kind)
        pair.teacher.descend(own + self.proximal * near)
        taught = pair.teacher.forward_no_grad(batch, masks=masks if self.same_masks else None)
        task = task_loss(ours.logits, batch.labels, pair.kind)
        soft = divergence(ours.logits, taught.logits, pair.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        pair.student.descend(total)
        student = {"loss": total.item(), "task": task.item(), "soft": soft.item()}
        return student | {"teacher": own.item(), "proximal": near.item()}
