"""metadistil: the teacher learns to teach (Zhou et al., ACL 2022, Algorithm 1).

One step, on a training batch:
  1. pilot:    theta'_S = theta_S - lambda * grad L_S(theta_S; T)         (plain gradient descent, no clipping)
  2. teacher:  T <- T - mu * grad_T L_quiz(theta'_S(T))                   (exact, see methods.forward_mode)
  3. student:  theta_S <- theta_S - lambda * grad L_S(theta_S; new T)     (the same batch and dropout masks)

L_S is Eq. 1 with a soft term of mean squared error between softened probabilities, times tau^2: the text names hidden
states in one place and logits in another; beta adds hidden states. One pass of the student serves 1 and 3. The quiz is
taken without dropout. `pilot: False` is the paper's ablation: the experiment itself is the student's update.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.forward_mode import RandomState, change_along, derivable_attention, moved, quiz_gradient, tangents
from methods.joint import Pair, TrainingBatch, constant
from methods.running.layers import LayerPairs
from methods.running.seam import Needs, teacher_given
from methods.running.soft_targets import hidden_loss, probability_error
from methods.running.task_loss import Kind, task_loss
from models.outputs import Outputs


@dataclass(frozen=True)
class MetaDistil:
    """Parameters of L_S, and of the teacher's step.

    `quiz_batches` a step. `teacher_warmup`: share of the training at its start in which the teacher stays as it is (the
    authors' vision code has 150 of 240 epochs of that). `analysis_every`: steps between two comparisons of the real update with the pilot, both as
    plain gradient steps (section 5.1 of the paper); each costs a pass over the quiz batches.
    """

    alpha: float = 0.5
    beta: float = 0.0
    temperature: float = 2.0
    layers: LayerPairs = ()
    pilot: bool = True
    quiz_batches: int = 1
    teacher_starts: Literal["finetuned", "pretrained"] = "finetuned"
    teacher_warmup: float = 0.0
    analysis_every: int = 10

    @property
    def needs(self) -> Needs:
        return Needs(teacher="moves", layers=self.layers if self.beta else (), pooled=self.beta > 0)

    def loss(
        self,
        student: Outputs,
        teacher: Outputs | None,
        labels: Tensor,
        kind: Kind,
        *,
        projection: nn.Module | None = None,
    ) -> dict[str, Tensor]:
        """L_S; parts are `task`, `soft` and, if beta is not 0, `hidden` (before their weights)."""
        teacher = teacher_given("metadistil", teacher)
        task = task_loss(student.logits, labels, kind)
        squared = 1.0 if kind == "regression" else self.temperature**2
        soft = squared * probability_error(student.logits, teacher.logits, kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        parts = {"task": task.detach(), "soft": soft.detach()}
        if self.beta:
            hidden = hidden_loss(student, teacher, self.layers, projection)
            total, parts["hidden"] = total + self.beta * hidden, hidden.detach()
        return {"loss": total, **parts}

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        """See `MovingTeacher.step`."""
        student, teacher, needs = pair.student, pair.teacher, self.needs
        if pair.progress < self.teacher_warmup:
            return self._plain_step(pair, batch)
        random_state = RandomState.now(batch.labels.device)
        with derivable_attention():
            ours = student.see(batch, pair.dataset, needs.student_layers)
        theirs = teacher.see(batch, pair.dataset, needs.teacher_layers)
        parts = self.loss(ours, constant(theirs), batch.labels, pair.kind)
        pilot = student.gradient(parts["loss"], keep_graph=True)
        ahead = moved(student, pilot, student.rate)
        if self.pilot:
            pilot.clear()  # as large as the student, and the real update has its own
        kept: list[TrainingBatch] = []
        direction, quiz_loss = quiz_gradient(pair, ahead, _kept(quiz, kept), self.quiz_batches)
        ahead.clear()
        along = tangents(student.network, batch, pair.dataset, needs, direction, random_state)
        direction.clear()
        change = change_along(self, ours, theirs, along, batch.labels, pair.kind)
        teacher.descend(-student.rate * change)
        with torch.no_grad():
            taught = teacher.see(batch, pair.dataset, needs.teacher_layers)
        values = {name: value.item() for name, value in parts.items()} | {"quiz": quiz_loss}
        nearer = distance(self, ours, taught, pair.kind) < distance(self, ours, theirs, pair.kind)
        values["teacher_comes_nearer"] = float(nearer)
        if not self.pilot:
            student.apply(pilot)
            return values
        real = student.gradient(self.loss(ours, taught, batch.labels, pair.kind)["loss"])
        if student.updates % self.analysis_every == 0:
            after = quiz_loss_at(pair, moved(student, real, student.rate), kept)
            values["real_beats_pilot"] = float(after < quiz_loss)
        student.apply(real)
        return values

    def _plain_step(self, pair: Pair, batch: TrainingBatch) -> dict[str, float]:
        """The student on L_S, the teacher untouched."""
        with torch.no_grad():
            said = pair.teacher.see(batch, pair.dataset, self.needs.teacher_layers)
        ours = pair.student.see(batch, pair.dataset, self.needs.student_layers)
        parts = self.loss(ours, said, batch.labels, pair.kind)
        pair.student.descend(parts["loss"])
        return {name: value.item() for name, value in parts.items()}


def distance(method: MetaDistil, student: Outputs, teacher: Outputs, kind: Kind) -> float:
    """The soft term between both: section 5.1 counts the steps in which the teacher's update lowers it."""
    return probability_error(student.logits.detach(), teacher.logits.detach(), kind, method.temperature).item()


def quiz_loss_at(pair: Pair, parameters: dict[str, Tensor], quiz: list[TrainingBatch]) -> float:
    """The mean quiz loss of the student with other parameters: section 5.1 compares the pilot's and the real update's."""
    network = pair.student.network
    network.eval()
    with torch.no_grad():
        losses = [
            task_loss(
                functional_call(network, parameters, (one.inputs, pair.dataset, one.choices, ())).logits,
                one.labels,
                pair.kind,
            ).item()
            for one in quiz
        ]
    network.train()
    return sum(losses) / len(losses)


def _kept(quiz: Iterator[TrainingBatch], into: list[TrainingBatch]) -> Iterator[TrainingBatch]:
    """The same batches, noted."""
    for batch in quiz:
        into.append(batch)
        yield batch
