"""A small student and teacher in float64 with dropout, their batches, and an endless quiz."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

import torch
from small_networks import COPA, RTE, STSB, batch, small
from torch import Tensor

from methods.co_training import Learner, Pair, ProjectedModel
from models.classifier import Classifier
from models.heads import HeadSpec


@dataclass
class Rows:
    """B rows as a method sees them."""

    inputs: dict[str, Tensor]
    labels: Tensor
    choices: int = 1
    rows: Tensor = field(default_factory=lambda: torch.arange(0))


def rows(lengths: list[int], labels: list[int] | list[float], *, seed: int = 3, choices: int = 1) -> Rows:
    """Random tokens of these lengths (one a candidate), padded."""
    return Rows(batch(lengths, seed=seed), torch.tensor(labels), choices, torch.arange(len(labels)))


BATCHES = {
    "pair": (RTE, rows([9, 5, 7, 4], [0, 1, 1, 0]), rows([6, 8, 3], [1, 0, 0], seed=4)),
    "choice": (COPA, rows([9, 5, 7, 4], [0, 1], choices=2), rows([6, 8, 3, 4], [1, 0], seed=4, choices=2)),
    "regression": (STSB, rows([9, 5, 7, 4], [0.5, 2.0, 1.0, 4.0]), rows([6, 8, 3], [1.0, 0.0, 3.0], seed=4)),
}


def learner(network: Classifier, rate: float, *, sgd: bool = True) -> Learner:
    """A learner in float64, in training mode (dropout 0.1 everywhere)."""
    seen = ProjectedModel(network.double().train())
    kind = torch.optim.SGD if sgd else torch.optim.AdamW
    return Learner(seen, kind(seen.parameters(), lr=rate))


def pair(family: str = "bert", spec: HeadSpec = RTE, *, width: int = 32, rate: float = 0.05) -> Pair:
    """A student of two layers, and a teacher of three that may be wider: the student then has a projection."""
    student, teacher = small(family, spec, layers=2, seed=11), small(family, spec, layers=3, hidden=width, seed=5)
    if width != 32:
        student.add_projection(width, seed=2)
    return Pair(learner(student, rate), learner(teacher, rate), spec.kind)


def endless(*batches: Rows) -> Iterator[Rows]:
    """The quiz."""
    return cycle(batches)
