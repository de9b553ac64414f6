"""Interface of methods whose teacher trains: two learners on one dataset, and quiz batches.

A learner is a network with its optimiser. Its gradients are taken and averaged over processes here, by hand: the exact
teacher gradients need them as values, and hooks of a distributed wrapper never see `autograd.grad`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from kinds import Kind
from methods.dropout_masks import RandomState
from methods.interface import LossInputs, Needs
from methods.layer_mapping import LayerPairs
from models.classifier import Classifier
from models.model_outputs import Outputs

Gradients = dict[str, Tensor]
"""By the parameter's name within the learner's network."""


class TrainingBatch(Protocol):
    """B rows of K candidates, see data.batches.Batch."""

    @property
    def inputs(self) -> dict[str, Tensor]: ...
    @property
    def labels(self) -> Tensor: ...
    @property
    def rows(self) -> Tensor: ...
    @property
    def choices(self) -> int: ...


def run_whole(network: nn.Module, inputs: dict[str, Tensor], **asked: object) -> Outputs:
    """One forward pass of all rows, in this process."""
    return network(inputs, **asked)


class ProjectedModel(nn.Module):
    """A network's outputs for a loss: pooled and sequence vectors in the teacher's width, by its projection if any.

    `run` makes the pass; several processes share its rows there, and the outputs are those of all rows in each.
    """

    def __init__(self, network: Classifier, run: Callable[..., Outputs] = run_whole) -> None:
        super().__init__()
        self.network = network
        self._run = run

    def forward(self, inputs: dict[str, Tensor], choices: int, layers: tuple[int, ...]) -> Outputs:
        network = self.network
        outputs = self._run(network, inputs, dataset=network.dataset, choices=choices, layers=layers)
        projection = network.projection
        if projection is None:
            return outputs
        vectors = {layer: projection(vector) for layer, vector in outputs.vectors.items()}
        return Outputs(logits=outputs.logits, pooled=projection(outputs.pooled), vectors=vectors)

    @property
    def head(self) -> nn.Linear:
        """The final layer."""
        return self.network.head_of(self.network.dataset)

    def of_pooled(self, pooled: Tensor, choices: int) -> Outputs:
        """Outputs of the head on stored pooled vectors (B*K, H); the backbone does not run."""
        logits = self.head(pooled)
        return Outputs(logits=logits.reshape(-1, choices) if choices > 1 else logits, pooled=pooled)


def no_reduce(tensors: Sequence[Tensor]) -> None:
    """The average over a single process: do nothing."""


@dataclass
class Learner:
    """A network in training. `average` replaces tensors by their mean over processes, in place.

    `stored` gives rows' pooled vectors (B*K, H) where the backbone is frozen and only the head trains.
    """

    network: ProjectedModel
    optimizer: torch.optim.Optimizer
    clip_norm: float | None = None
    average: Callable[[Sequence[Tensor]], None] = no_reduce
    updates: int = 0
    gradient_norm: float | Tensor = 0.0
    """Gradient norm of the last update before clipping; 0 without clipping."""
    stored: Callable[[Tensor], Tensor] | None = None

    @property
    def rate(self) -> float:
        """The learning rate of the next update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters, by name."""
        return {name: value for name, value in self.network.named_parameters() if value.requires_grad}

    def forward(self, batch: TrainingBatch, layers: tuple[int, ...] = ()) -> Outputs:
        """One forward pass; of the head alone if the pooled vectors are stored."""
        if self.stored is not None:
            return self.network.of_pooled(self.stored(batch.rows), batch.choices)
        return self.network(batch.inputs, choices=batch.choices, layers=layers)

    @torch.no_grad()
    def forward_no_grad(
        self, batch: TrainingBatch, layers: tuple[int, ...] = (), *, masks: RandomState | None = None
    ) -> Outputs:
        """One forward pass without a graph; with new dropout masks, or by replaying those of `masks`."""
        with nullcontext() if masks is None else masks.replayed():
            return self.forward(batch, layers)

    def gradient(self, loss: Tensor, *, keep_graph: bool = False) -> Gradients:
        """The gradient of a scalar, averaged over processes; zeros for parameters without one."""
        parameters = self.parameters()
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=keep_graph, allow_unused=True)
        gradients = {
            name: torch.zeros_like(value) if gradient is None else gradient
            for (name, value), gradient in zip(parameters.items(), found, strict=True)
        }
        self.average(list(gradients.values()))
        return gradients

    def apply(self, gradients: Mapping[str, Tensor]) -> None:
        """One clipped optimiser step along a gradient."""
        for name, value in self.parameters().items():
            value.grad = gradients[name].to(value.dtype)
        if self.clip_norm is not None:
            self.gradient_norm = nn.utils.clip_grad_norm_(self.parameters().values(), self.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1

    def descend(self, loss: Tensor) -> None:
        """One step of the optimiser down a loss."""
        self.apply(self.gradient(loss))


@dataclass
class Pair:
    """A student and its teacher (or peer), training on one dataset."""

    student: Learner
    teacher: Learner
    kind: Kind
    progress: float = 0.0
    """Completed share of the training, from 0 to 1."""
    followed: frozenset[int] = frozenset()
    """Training rows whose values a method records over time."""
    influence: list[dict[str, float]] = field(default_factory=list)
    """Records of those rows: row, step and values."""

    def loss_inputs(self, batch: TrainingBatch, student: Outputs, teacher: Outputs) -> LossInputs:
        """Both networks' outputs on a batch."""
        return LossInputs(student, teacher, batch.labels, self.kind)


class MovingTeacher(Protocol):
    """A method that trains both networks."""

    @property
    def needs(self) -> Needs: ...

    @property
    def teacher_starts(self) -> str:
        """ "finetuned" (the teacher stage's weights) or "pretrained" (their starting point)."""
        ...

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        """One update of each; returns values for the curves. `quiz` never ends."""
        ...


def detached(outputs: Outputs) -> Outputs:
    """The same values, detached."""
    vectors = {layer: value.detach() for layer, value in outputs.vectors.items()}
    return Outputs(logits=outputs.logits.detach(), pooled=outputs.pooled.detach(), vectors=vectors)


def used(outputs: Outputs, layers: LayerPairs, pooled: bool) -> dict[str, Tensor]:
    """The student's outputs that a loss reads, by name."""
    tensors = {f"vectors.{ours}": outputs.vectors[ours] for ours, _ in layers}
    return {"logits": outputs.logits, **tensors, **({"pooled": outputs.pooled} if pooled else {})}
