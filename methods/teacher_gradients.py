"""Exact first-order gradient on the teacher of the quiz loss's change by a small step of the student.

With the pilot student theta' = theta - lambda * grad L_S(theta; T) and v = d L_quiz / d theta' (a constant),

    grad_T L_quiz(theta') = -lambda * grad_T <grad L_S(theta; T), v> = -lambda * grad_T <d L_S / d o, J v>

because L_S touches theta only through the student's outputs o. J v is one forward-mode derivative of the student along v;
what is left is a small graph over the outputs and one ordinary backward pass of the teacher. No double backward, and
memory that does not grow with the number of quiz batches, of which v is the mean.

Forward mode needs kernels that have a forward derivative (eager attention, or SDPA's MATH backend) and the dropout masks
of the pass whose outputs it derives: the random state is replayed.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.co_training import Gradients, Learner, Pair, ProjectedModel, TrainingBatch, used
from methods.dropout_masks import RandomState
from methods.interface import LossInputs, Method, Needs
from methods.task_loss import task_loss
from models.model_outputs import Outputs


@contextmanager
def derivable_attention() -> Generator[None]:
    """SDPA's MATH backend: the only kernel with a forward derivative, with one set of dropout masks for all passes."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def sgd_step(learner: Learner, gradients: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
    """theta - rate * gradient, as new tensors: the pilot student. The network is unchanged."""
    with torch.no_grad():
        ahead = {name: torch.add(value, gradients[name], alpha=-rate) for name, value in learner.parameters().items()}
    return {name: value.requires_grad_() for name, value in ahead.items()}


def quiz_gradient(
    pair: Pair, ahead: dict[str, Tensor], quiz: Iterator[TrainingBatch], batches: int
) -> tuple[Gradients, float]:
    """v, the gradient of the mean quiz loss at the pilot student's parameters, and that loss.

    Dropout is off: v is the direction in which the student that is used gets better.
    """
    network = pair.student.network
    total: Gradients = {}
    loss_sum = 0.0
    network.eval()
    try:
        for _ in range(batches):
            batch = next(quiz)
            outputs = functional_call(network, ahead, (batch.inputs, batch.choices, ()))
            loss = task_loss(outputs.logits, batch.labels, pair.kind) / batches
            found = torch.autograd.grad(loss, list(ahead.values()), allow_unused=True)
            for name, gradient in zip(ahead, found, strict=True):
                if gradient is not None:
                    total[name] = total[name].add_(gradient) if name in total else gradient
            loss_sum += loss.item()
    finally:
        network.train()
    total |= {name: torch.zeros_like(value) for name, value in ahead.items() if name not in total}
    pair.student.average(list(total.values()))
    return total, loss_sum


def tangents(
    network: ProjectedModel,
    batch: TrainingBatch,
    needs: Needs,
    direction: Mapping[str, Tensor],
    random_state: RandomState,
) -> dict[str, Tensor]:
    """J v: directional derivative along v of the outputs that the loss reads (`joint.used`).

    float32 also under autocast; the pass replays `random_state` and keeps no graph.
    """
    device = batch.labels.device.type
    with (
        torch.no_grad(),
        torch.autocast(device, enabled=False),
        derivable_attention(),
        random_state.replayed(),
        forward_ad.dual_level(),
    ):
        named = dict(network.named_parameters())
        duals = {name: forward_ad.make_dual(named[name], along) for name, along in direction.items()}
        outputs = functional_call(network, duals, (batch.inputs, batch.choices, needs.student_layers))
        read = used(outputs, needs.layers, needs.pooled)
        return {name: _tangent(value) for name, value in read.items()}


def _tangent(value: Tensor) -> Tensor:
    """Fill in zeros for outputs independent of the direction."""
    found = forward_ad.unpack_dual(value).tangent
    return torch.zeros_like(value) if found is None else found.clone()


def change_along(method: Method, given: LossInputs, along: Mapping[str, Tensor]) -> Tensor:
    """<grad L_S, v> from J v: a scalar with a graph to the teacher's outputs.

    given: the student's outputs are those of the pass that `along` was derived from, the teacher's have their graph.
    """
    leaves = {
        name: value.detach().requires_grad_()
        for name, value in used(given.student, method.needs.layers, method.needs.pooled).items()
    }
    vectors = {int(name.split(".")[1]): value for name, value in leaves.items() if name.startswith("vectors.")}
    pooled = leaves.get("pooled", given.student.pooled.detach())
    student = Outputs(logits=leaves["logits"], pooled=pooled, vectors=vectors)
    loss = method.loss(replace(given, student=student))["loss"]
    slopes = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, allow_unused=True)
    return torch.stack(
        [(slope * along[name]).sum() for name, slope in zip(leaves, slopes, strict=True) if slope is not None]
    ).sum()
