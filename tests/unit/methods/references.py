"""The methods' terms in float64 numpy, written from the papers' formulas, and random outputs to compare on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinds import Kind
from models.model_outputs import Outputs

Array = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("pair", "single", "choice", "regression")
CLASSES = {"pair": 2, "single": 3, "choice": 2, "regression": 1}
ROWS, WIDTH = 5, 6
EXACT = 1e-8


@dataclass(frozen=True)
class Case:
    """Both models' outputs on five rows of one kind, and the labels. Both logits have a graph."""

    kind: Kind
    student: Outputs
    teacher: Outputs
    labels: torch.Tensor

    @property
    def ours(self) -> Array:
        return array(self.student.logits)

    @property
    def theirs(self) -> Array:
        return array(self.teacher.logits)

    @property
    def task(self) -> float:
        return task(self.ours, self.labels.numpy(), self.kind)


def case(
    kind: Kind, *, seed: int = 1, student_layers: tuple[int, ...] = (), teacher_layers: tuple[int, ...] = ()
) -> Case:
    """A random one; a choice has two candidates a row, so its vectors are twice as many."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    encoded = ROWS * (2 if kind == "choice" else 1)

    def draw(rows: int, columns: int) -> torch.Tensor:
        return torch.tensor(2 * rng.normal(size=(rows, columns)), requires_grad=True)

    def outputs(layers: tuple[int, ...]) -> Outputs:
        vectors = {layer: draw(encoded, WIDTH) for layer in layers}
        return Outputs(draw(ROWS, CLASSES[kind]), draw(encoded, WIDTH), vectors)

    labels = rng.normal(size=ROWS) if kind == "regression" else rng.integers(CLASSES[kind], size=ROWS)
    return Case(kind, outputs(student_layers), outputs(teacher_layers), torch.tensor(labels))


def array(tensor: torch.Tensor) -> Array:
    """The values."""
    return tensor.detach().numpy()


def softmax(logits: Array) -> Array:
    """(B, C) -> (B, C)."""
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def task(logits: Array, labels: Array, kind: Kind) -> float:
    """Mean cross-entropy, or mean squared error."""
    if kind == "regression":
        return float(np.mean((logits[:, 0] - labels) ** 2))
    return float(np.mean(-np.log(softmax(logits)[np.arange(len(labels)), labels.astype(int)])))


def kl(target: Array, learner: Array, kind: Kind, tau: float = 1.0) -> float:
    """tau^2 KL(p_target || p_learner) at temperature tau, mean over rows; mean squared error for regression."""
    if kind == "regression":
        return float(np.mean((target - learner) ** 2))
    p, q = softmax(target / tau), softmax(learner / tau)
    return float(tau**2 * np.mean(np.sum(p * (np.log(p) - np.log(q)), -1)))


def cross_entropy_rows(target: Array, learner: Array, kind: Kind) -> Array:
    """CE(p_target, p_learner) of each row (B,); squared error for regression."""
    if kind == "regression":
        return (target[:, 0] - learner[:, 0]) ** 2
    return -np.sum(softmax(target) * np.log(softmax(learner)), -1)


def unit_error(ours: Array, theirs: Array) -> float:
    """Mean squared error between the rows divided by their norms."""
    ours = ours / np.sqrt(np.sum(ours**2, -1, keepdims=True))
    theirs = theirs / np.sqrt(np.sum(theirs**2, -1, keepdims=True))
    return float(np.mean((ours - theirs) ** 2))
