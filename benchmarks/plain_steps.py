"""Whole training steps with plain teacher gradients: the reference for MetaDistil's and LGTM's steps.

Double backward shares the pilot's forward pass with the real update, as ours does, so that a comparison shows the
gradients' price and nothing else. LGTM's finite difference is done as Algorithm 1 prints it: every line starts from parameters and
rows, and evaluates the networks that its equation names; `shared` lets its two lines about the teacher share a pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from methods.co_training import Pair, TrainingBatch, detached
from methods.lgtm import Lgtm
from methods.metadistil import MetaDistil
from methods.soft_targets import per_row_cross_entropy
from methods.task_loss import task_loss
from methods.teacher_gradients import derivable_attention, quiz_gradient, sgd_step


def double_backward_step(
    method: MetaDistil, pair: Pair, batch: TrainingBatch, quiz: Sequence[TrainingBatch]
) -> dict[str, float]:
    """MetaDistil's step; the quiz gradient reaches the teacher through the graph of the pilot's gradient."""
    student, teacher, needs = pair.student, pair.teacher, method.needs
    with derivable_attention():
        ours = student.forward(batch, needs.student_layers)
        theirs = teacher.forward(batch, needs.teacher_layers)
        loss = method.loss(pair.loss_inputs(batch, ours, theirs))["loss"]
        parameters = student.parameters()
        slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
        ahead = {
            name: value if slope is None else value - student.rate * slope
            for (name, value), slope in zip(parameters.items(), slopes, strict=True)
        }
        del slopes
        student.network.eval()
        said = [functional_call(student.network, ahead, (one.inputs, one.choices, ())) for one in quiz]
        student.network.train()
    del ahead
    quizzed = torch.stack(
        [task_loss(one.logits, batch.labels, pair.kind) for one, batch in zip(said, quiz, strict=True)]
    ).mean()
    del said
    # The student's own graph is needed once more, for the real update.
    change = teacher.gradient(quizzed, keep_graph=True)
    teacher.apply({name: value / student.rate for name, value in change.items()})  # see methods.metadistil, line 2
    with torch.no_grad():
        taught = teacher.forward(batch, needs.teacher_layers)
    student.descend(method.loss(pair.loss_inputs(batch, ours, detached(taught)))["loss"])
    return {"loss": loss.item(), "quiz": quizzed.item()}


def finite_difference_step(
    method: Lgtm,
    pair: Pair,
    batch: TrainingBatch,
    quiz: Sequence[TrainingBatch],
    *,
    step: float = 1e-3,
    shared: bool = False,
) -> dict[str, float]:
    """LGTM's Algorithm 1, lines 3 to 9, with Eq. 10 subtracted (its printed sign is ascent).

    shared: lines 7 and 8 share one pass of the teacher, and its backward pass.
    """
    student, teacher = pair.student, pair.teacher
    loss = _student_loss(method, pair, batch)
    ahead = sgd_step(student, student.gradient(loss), student.rate)  # lines 3 and 4
    direction, quiz_loss = quiz_gradient(pair, ahead, iter(quiz), len(quiz))  # lines 5 and 6
    theirs = teacher.forward(batch).logits
    sides: list[Tensor] = []
    for sign in (1, -1):  # line 7
        there = sgd_step(student, direction, -sign * step)
        said = functional_call(student.network, there, (batch.inputs, batch.choices, ()))
        sides.append(per_row_cross_entropy(said.logits, theirs, pair.kind).mean())
    influence = (sides[0] - sides[1]) / (2 * step)
    with torch.no_grad():
        ours = student.forward(batch).logits
    again = theirs if shared else teacher.forward(batch).logits
    own = method.teacher_loss(again, ours, batch.labels, pair.kind)
    teacher.descend(own - method.influence.weight * influence)  # line 8
    student.descend(_student_loss(method, pair, batch))  # line 9
    return {"loss": loss.item(), "quiz": quiz_loss}


def _student_loss(method: Lgtm, pair: Pair, batch: TrainingBatch) -> Tensor:
    """Eq. 1, with passes of its own."""
    with torch.no_grad():
        said = pair.teacher.forward(batch).logits
    return method.student_loss(pair.student.forward(batch).logits, said, batch.labels, pair.kind)
