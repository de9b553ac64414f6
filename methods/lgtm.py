"""lgtm: learning good teacher matters (Ren et al., ACL 2023, Algorithm 1, Eq. 8 to 11).

One step, on a training batch of B rows, with l_i = CE(p_T, p_S) of row i:
  1. virtual:    theta'_S = theta_S - lambda * grad L_S(theta_S; T),   v = d L_val / d theta'_S on feedback rows
  2. influence:  w_i = <grad_S l_i, v>: positive where distilling row i lowers the feedback loss
  3. teacher:    weight * influence term + alpha_T * CE(y, p_T) + (1 - alpha_T) * KL(p_S || p_T)
  4. student:    Eq. 1 with the new teacher (the same batch and dropout masks of the student; the teacher draws new ones)

All w_i come exactly from one forward-mode derivative: w_i = <d l_i / d z_S,i, (J v)_i>. The paper's Eq. 9 and 10 are two
different objectives. `mixed`: -mean w_i, with its graph to the teacher. `weights`: mean w_i * l_i, w_i constant, Eq. 9 as
printed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kinds import KINDS, Kind
from methods.co_training import Gradients, Pair, TrainingBatch
from methods.dropout_masks import RandomState
from methods.interface import Needs
from methods.soft_targets import per_row_cross_entropy, per_row_divergence
from methods.task_loss import answer_score, task_loss
from methods.teacher_gradients import derivable_attention, quiz_gradient, sgd_step, tangents

NEEDS = Needs(teacher="moves")


@dataclass(frozen=True)
class Influence:
    """The influence term of the teacher's loss; weight 0 is the ablation without it."""

    weight: float
    form: Literal["mixed", "weights"]


@dataclass(frozen=True)
class Lgtm:
    """Parameters: `alpha` of Eq. 1, and `teacher_alpha`, which is alpha in Eq. 11.

    `same_masks`: the teacher answers after its step with the dropout masks that it had before.
    """

    alpha: float
    teacher_alpha: float
    influence: Influence
    auxiliary: Literal["kl", "cross_entropy"]
    quiz_batches: int
    teacher_starts: Literal["finetuned", "pretrained"]
    same_masks: bool

    @property
    def needs(self) -> Needs:
        return NEEDS

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        student, teacher = pair.student, pair.teacher
        random_state = RandomState.now(batch.labels.device)
        with derivable_attention():
            ours = student.forward(batch).logits
        masks = RandomState.now(batch.labels.device)
        theirs = teacher.forward(batch).logits
        loss = self.student_loss(ours, theirs.detach(), batch.labels, pair.kind)
        values = {"loss": loss.item()}
        own = self.teacher_loss(theirs, ours.detach(), batch.labels, pair.kind)
        if self.influence.weight:
            direction, values["quiz"] = self._feedback(pair, loss, quiz)
            along = tangents(student.network, batch, NEEDS, direction, random_state)["logits"]
            direction.clear()  # as large as the student
            influence, rows = self.influence_loss(ours.detach(), theirs, along, pair.kind)
            values |= self._shares(pair, influence, own)
            self._keep(pair, batch, rows, ours, theirs)
            own = own + self.influence.weight * influence
        values["teacher"] = own.item()
        teacher.descend(own)
        taught = teacher.forward_no_grad(batch, masks=masks if self.same_masks else None).logits
        student.descend(self.student_loss(ours, taught, batch.labels, pair.kind))
        return values

    def _feedback(self, pair: Pair, loss: Tensor, quiz: Iterator[TrainingBatch]) -> tuple[Gradients, float]:
        """v, and the feedback loss of the virtual student after one plain gradient step down `loss`."""
        ahead = sgd_step(pair.student, pair.student.gradient(loss, keep_graph=True), pair.student.rate)
        return quiz_gradient(pair, ahead, quiz, self.quiz_batches)

    def student_loss(self, student: Tensor, teacher: Tensor, labels: Tensor, kind: Kind) -> Tensor:
        """Eq. 1."""
        soft = per_row_cross_entropy(student, teacher, kind).mean()
        return self.alpha * task_loss(student, labels, kind) + (1 - self.alpha) * soft

    def teacher_loss(self, teacher: Tensor, student: Tensor, labels: Tensor, kind: Kind) -> Tensor:
        """The auxiliary loss of Eq. 11; the student's logits are constants."""
        # Printed is CE(p_T, p_S), which is linear in p_T: `auxiliary: cross_entropy`.
        if self.auxiliary == "kl":
            soft = per_row_divergence(teacher, student, kind, 1.0).mean()  # KL(p_S || p_T): the teacher learns
        else:
            soft = per_row_cross_entropy(student, teacher, kind).mean()
        return self.teacher_alpha * task_loss(teacher, labels, kind) + (1 - self.teacher_alpha) * soft

    def influence_loss(self, student: Tensor, teacher: Tensor, along: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        """The influence term of the teacher's loss, and the influence of every row w (B,), detached.

        student: constants (B, C); teacher (B, C) with its graph; along: J v (B, C).
        """
        rows = row_influence(student, teacher, along, kind)
        if self.influence.form == "mixed":
            # Printed Eq. 10 adds it, which raises the feedback loss to first order; the authors' code subtracts, too.
            return -rows.mean(), rows.detach()
        return (rows.detach() * per_row_cross_entropy(student, teacher, kind)).mean(), rows.detach()

    def _shares(self, pair: Pair, influence: Tensor, own: Tensor) -> dict[str, float]:
        """The influence's share of the teacher's gradient, measured on its head."""
        head = list(pair.teacher.network.head.parameters())
        norms: list[float] = []
        for loss in (influence, own):
            parts = torch.autograd.grad(loss, head, retain_graph=True)
            pair.teacher.average(parts)
            norms.append(torch.cat([part.flatten() for part in parts]).norm().item())
        weighted = self.influence.weight * norms[0]
        return {"influence_share": weighted / (weighted + norms[1]) if weighted + norms[1] else 0.0}

    def _keep(self, pair: Pair, batch: TrainingBatch, rows: Tensor, student: Tensor, teacher: Tensor) -> None:
        """Influence and both predictions of the followed rows (Figs. 3 and 4 of the paper)."""
        scores = [answer_score(said.detach(), batch.labels, pair.kind) for said in (student, teacher)]
        for i, row in enumerate(batch.rows.tolist()):
            if row in pair.followed:
                pair.influence.append(
                    {
                        "step": pair.student.updates,
                        "row": row,
                        "influence": rows[i].item(),
                        "student": scores[0][i].item(),
                        "teacher": scores[1][i].item(),
                    }
                )


def row_influence(student: Tensor, teacher: Tensor, along: Tensor, kind: Kind) -> Tensor:
    """w_i = <d l_i / d z_S,i, (J v)_i>, (B,), with a graph to the teacher: d CE(p_T, p_S) / d z_S = p_S - p_T."""
    if not KINDS[kind].has_classes:
        return (2 * (student - teacher) * along).sum(-1)
    return ((torch.softmax(student, -1) - torch.softmax(teacher, -1)) * along).sum(-1)
