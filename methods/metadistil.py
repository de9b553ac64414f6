"""metadistil: a teacher trained by its student's feedback (Zhou et al., ACL 2022, Algorithm 1).

One step, on a training batch:
  1. pilot:    theta'_S = theta_S - lambda * grad L_S(theta_S; T)         (plain gradient descent, no clipping)
  2. teacher:  T <- T - mu * grad_T L_quiz(theta'_S(T)) / lambda          (exact, see methods.teacher_gradients)
  3. student:  theta_S <- theta_S - lambda * grad L_S(theta_S; new T)     (the same batch and dropout masks)

L_S is Eq. 1 with a soft term of mean squared error between softened probabilities, times tau^2; beta adds hidden states. One
pass of the student serves 1 and 3. The quiz is taken without dropout. `pilot: False` is the paper's ablation: the experiment
itself is the student's update.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kinds import Kind
from methods.co_training import Gradients, Pair, TrainingBatch, detached
from methods.dropout_masks import RandomState
from methods.interface import LossInputs, Needs
from methods.layer_mapping import LayerPairs
from methods.soft_targets import hidden_loss, probability_error, temperature_of
from methods.task_loss import task_loss
from methods.teacher_gradients import change_along, derivable_attention, quiz_gradient, sgd_step, tangents
from models.model_outputs import Outputs


@dataclass(frozen=True)
class MetaDistil:
    """Parameters of L_S, and of the teacher's step.

    `quiz_batches` a step. `teacher_warmup`: share of the training at its start in which the teacher stays as it is (the
    authors' vision code has 150 of 240 epochs of that). `same_masks`: the teacher answers after its step with the dropout
    masks that it had before. `analysis_every`: steps between two readings of section 5.1; each costs a pass of the
    teacher and a backward pass of the student.
    """

    alpha: float
    beta: float
    temperature: float
    layers: LayerPairs
    pilot: bool
    quiz_batches: int
    teacher_starts: Literal["finetuned", "pretrained"]
    teacher_warmup: float
    same_masks: bool
    analysis_every: int

    @property
    def needs(self) -> Needs:
        return Needs(teacher="moves", layers=self.layers if self.beta else (), pooled=self.beta > 0)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """L_S; parts are `task`, `soft` and, if beta is not 0, `hidden` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        # The text has hidden states in one place and logits in another: the logits' term, and beta for the other.
        squared = temperature_of(given.kind, self.temperature) ** 2
        soft = squared * probability_error(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        total = self.alpha * task + (1 - self.alpha) * soft
        parts = {"task": task.detach(), "soft": soft.detach()}
        if self.beta:
            hidden = hidden_loss(given.student, given.teacher, self.layers, given.projection)
            total, parts["hidden"] = total + self.beta * hidden, hidden.detach()
        return {"loss": total, **parts}

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        student, teacher, needs = pair.student, pair.teacher, self.needs
        if pair.progress < self.teacher_warmup:
            return self._plain_step(pair, batch)
        random_state = RandomState.now(batch.labels.device)
        with derivable_attention():
            ours = student.forward(batch, needs.student_layers)
        masks = RandomState.now(batch.labels.device)
        theirs = teacher.forward(batch, needs.teacher_layers)
        parts = self.loss(pair.loss_inputs(batch, ours, detached(theirs)))
        pilot = student.gradient(parts["loss"], keep_graph=True)
        ahead = sgd_step(student, pilot, student.rate)
        compares = student.updates % self.analysis_every == 0
        if self.pilot and not compares:
            pilot.clear()  # as large as the student, and the real update has its own
        direction, quiz_loss = quiz_gradient(pair, ahead, quiz, self.quiz_batches)
        ahead.clear()
        along = tangents(student.network, batch, needs, direction, random_state)
        if not compares:
            direction.clear()
        change = change_along(self, pair.loss_inputs(batch, ours, theirs), along)
        # lambda, a factor of line 2's gradient, is divided out: times 2e-5, a quarter of its entries would lie below AdamW's
        # eps, and clipping would never see it. AdamW's step is otherwise the same for every factor.
        teacher.descend(-change)
        # New dropout masks for the teacher, unless `same_masks`; the student's stay.
        taught = teacher.forward_no_grad(batch, needs.teacher_layers, masks=masks if self.same_masks else None)
        values = {name: value.item() for name, value in parts.items()} | {"quiz": quiz_loss}
        if compares:
            # With other masks than before, they and not the teacher's step would decide both.
            again = teacher.forward_no_grad(batch, needs.teacher_layers, masks=masks)
            real = student.gradient(self.loss(pair.loss_inputs(batch, ours, again))["loss"], keep_graph=True)
            values["real_beats_pilot"] = beats(real, pilot, direction)
            values["teacher_comes_nearer"] = self.comes_nearer(ours, theirs, again, pair.kind)
            direction.clear()
        if self.pilot:
            student.descend(self.loss(pair.loss_inputs(batch, ours, taught))["loss"])
        else:
            student.apply(pilot)
        return values

    def comes_nearer(self, student: Outputs, before: Outputs, after: Outputs, kind: Kind) -> float:
        """Score 1 if the teacher's update lowers the soft term, 0 if not, one half for a tie."""
        ours = student.logits.detach()
        old, new = (
            probability_error(ours, said.logits.detach(), kind, self.temperature).item() for said in (before, after)
        )
        return 0.5 if new == old else float(new < old)

    def _plain_step(self, pair: Pair, batch: TrainingBatch) -> dict[str, float]:
        """Train the student on L_S, leaving the teacher unchanged."""
        said = pair.teacher.forward_no_grad(batch, self.needs.teacher_layers)
        ours = pair.student.forward(batch, self.needs.student_layers)
        parts = self.loss(pair.loss_inputs(batch, ours, said))
        pair.student.descend(parts["loss"])
        return {name: value.item() for name, value in parts.items()}


def beats(real: Mapping[str, Tensor], pilot: Mapping[str, Tensor], direction: Gradients) -> float:
    """Score 1 if a step along `real` lowers the quiz loss more than one along `pilot` (first order); `direction` is v.

    <real - pilot, v> > 0: 1 if so, 0 if not, one half for a tie.
    """
    found = torch.stack([((real[name] - pilot[name]) * along).sum() for name, along in direction.items()]).sum()
    return (torch.sign(found).item() + 1) / 2
