"""Kinds of datasets: the form of labels and outputs of each kind, and their metrics.

One row a kind. Nothing else branches on a kind: every other module reads a property of its row, and methods/task_loss.py
has the losses for torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["single", "pair", "choice", "regression"]
ClassMetric = Literal["accuracy", "f1", "macro_f1", "matthews"]
NumberMetric = Literal["pearson", "spearman", "mse"]
Metric = Literal[ClassMetric, NumberMetric]
Array: TypeAlias = NDArray[np.generic]
Floats: TypeAlias = NDArray[np.float64]

LOWER_IS_BETTER = ("loss", "mse")
TASK_LOSS = ("loss", "mse")
"""Names of the mean task loss; a regression's is its mean squared error."""


@dataclass(frozen=True)
class KindSpec:
    """One kind. Labels are (N,), logits (N, C)."""

    name: Kind
    purpose: str
    """The task in words, for the model card."""
    texts: tuple[int, ...] = (1, 2)
    """Numbers of text columns that a dataset of it may have."""
    has_classes: bool = True
    """Labels are class numbers and logits have a column a class; else labels are numbers and the one logit is the answer."""
    by_candidate: bool = False
    """The classes are the row's own candidates, each encoded and scored by one unit."""
    problem_type: Literal["single_label_classification", "regression"] | None = "single_label_classification"
    """Transformers' name of the problem type."""

    @property
    def has_named_classes(self) -> bool:
        """True if a class is the same in every row, and so has a name; the position of a candidate is not."""
        return self.has_classes and not self.by_candidate

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All its metrics, in addition to the loss."""
        return get_args(ClassMetric) if self.has_classes else get_args(NumberMetric)

    @property
    def default_metrics(self) -> tuple[Metric, ...]:
        """The metrics of a description without any; the first is the primary metric."""
        return ("accuracy",) if self.has_classes else ("pearson", "spearman")

    @property
    def label_type(self) -> type[np.generic]:
        """Type of a label in numpy."""
        return np.int64 if self.has_classes else np.float64

    @property
    def constant_name(self) -> str:
        """Name of the constant baseline."""
        return "majority" if self.has_classes else "mean"

    def outputs(self, label_names: Sequence[str]) -> int:
        """Units of the head."""
        return len(label_names) if self.has_named_classes else 1

    def columns(self, label_names: Sequence[str]) -> int:
        """Columns C of the logits (N, C)."""
        return len(label_names) if self.has_classes else 1

    def constant(self, labels: Array) -> float:
        """The constant baseline: the most frequent class, or the mean label."""
        return float(np.bincount(labels).argmax()) if self.has_classes else float(labels.mean())

    def constant_score(self, labels: Array) -> float:
        """Score of the constant on its own labels: its accuracy, or minus its mean squared error."""
        return float(np.bincount(labels).max() / len(labels)) if self.has_classes else -float(labels.var())

    def constant_logits(self, constant: float, shape: tuple[int, ...]) -> Floats:
        """Logits (N, C) of the constant baseline."""
        if not self.has_classes:
            return np.full(shape, constant)
        logits = np.zeros(shape)
        logits[:, int(constant)] = 1.0
        return logits

    def row_losses(self, logits: Array, labels: Array) -> Floats:
        """Task loss of each row (N,): cross-entropy, or the squared error."""
        scores = logits.astype(np.float64)
        if not self.has_classes:
            return (scores[:, 0] - labels.astype(np.float64)) ** 2
        shifted = scores - scores.max(axis=1, keepdims=True)
        true_score = shifted[np.arange(len(labels)), labels.astype(np.int64)]
        return np.log(np.exp(shifted).sum(axis=1)) - true_score


KINDS: dict[str, KindSpec] = {
    kind.name: kind
    for kind in (
        KindSpec("single", "classifies a text", texts=(1,)),
        KindSpec("pair", "classifies a pair of texts", texts=(2,)),
        KindSpec("choice", "chooses between candidates", by_candidate=True, problem_type=None),
        KindSpec(
            "regression", "gives a text, or a pair of texts, a number", has_classes=False, problem_type="regression"
        ),
    )
}


def kind_named(name: object) -> Kind:
    """Look up a kind. Raises ValueError, with all names, on an unknown one."""
    if isinstance(name, str) and name in KINDS:
        return KINDS[name].name
    raise ValueError(f"kind {name!r} is not allowed; allowed: {', '.join(KINDS)}")
