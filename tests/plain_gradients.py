"""The plain formulations of MetaDistil's and LGTM's teacher gradients: what the forward-mode ones are measured against.

Double backward (`create_graph`) for MetaDistil; for LGTM a backward pass per example, and the finite difference as the
paper prints it. Here values are compared; time and memory of whole steps are in benchmarks/plain_steps.py.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from methods.co_training import Gradients, Pair, TrainingBatch
from methods.dropout_masks import RandomState
from methods.interface import Method
from methods.soft_targets import per_row_cross_entropy
from methods.task_loss import task_loss
from methods.teacher_gradients import derivable_attention
from models.model_outputs import Outputs


def double_backward(
    pair: Pair, method: Method, batch: TrainingBatch, quiz: Sequence[TrainingBatch], rate: float
) -> Gradients:
    """grad_T of the mean quiz loss of theta - rate * grad L_S(theta; T), through the graph of the student's gradient."""
    student, teacher, needs = pair.student, pair.teacher, method.needs
    with derivable_attention():
        ours = student.forward(batch, needs.student_layers)
        theirs = teacher.forward(batch, needs.teacher_layers)
        loss = method.loss(pair.loss_inputs(batch, ours, theirs))["loss"]
        parameters = student.parameters()
        slopes = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
        ahead = {
            name: value if slope is None else value - rate * slope
            for (name, value), slope in zip(parameters.items(), slopes, strict=True)
        }
        student.network.eval()
        losses = [
            task_loss(
                functional_call(student.network, ahead, (one.inputs, one.choices, ())).logits,
                one.labels,
                pair.kind,
            )
            for one in quiz
        ]
        student.network.train()
        return teacher.gradient(torch.stack(losses).mean())


def per_example_influence(
    pair: Pair, batch: TrainingBatch, teacher: Tensor, direction: Gradients, random_state: RandomState
) -> Tensor:
    """w_i = <grad_S l_i, v> (B,): B backward passes through one graph of the batch, so that its dropout masks agree."""
    with derivable_attention(), random_state.replayed():
        ours = pair.student.forward(batch).logits
    rows = per_row_cross_entropy(ours, teacher.detach(), pair.kind)
    parameters = pair.student.parameters()
    found: list[Tensor] = []
    for i in range(len(rows)):
        slopes = torch.autograd.grad(rows[i], list(parameters.values()), retain_graph=True, allow_unused=True)
        along = zip(parameters, slopes, strict=True)
        found.append(torch.stack([(slope * direction[name]).sum() for name, slope in along if slope is not None]).sum())
    return torch.stack(found)


def finite_difference_influence(
    pair: Pair, batch: TrainingBatch, teacher: Tensor, direction: Gradients, random_state: RandomState, step: float
) -> Tensor:
    """Eq. 10: (l_i at theta + step * v less l_i at theta - step * v) / (2 * step), (B,), with a graph to the teacher."""
    sides: list[Tensor] = []
    for sign in (1, -1):
        parameters = pair.student.parameters()
        there = {name: (value + sign * step * direction[name]).detach() for name, value in parameters.items()}
        with derivable_attention(), random_state.replayed(), torch.no_grad():
            inputs = (batch.inputs, batch.choices, ())
            outputs: Outputs = functional_call(pair.student.network, there, inputs)
        sides.append(per_row_cross_entropy(outputs.logits, teacher, pair.kind))
    return (sides[0] - sides[1]) / (2 * step)
