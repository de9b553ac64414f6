"""Evidence for one student: predictions of it, its teacher, the fine-tuned student and a constant on the dev rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from config.methods import BASELINE
from errors import UserError
from kinds import KINDS, LOWER_IS_BETTER, Kind
from metrics import compute_metrics
from outputs import evaluate_folder
from records.evaluated import PREDICTIONS
from reporting.evaluations import Evaluation, PairedPredictions, read_evaluation, read_predictions

if TYPE_CHECKING:
    from reporting.gather import DatasetOutputs

Array = NDArray[np.generic]
DEV = "dev"
IS_FINETUNE = "it is the fine-tuned student"
NOT_A_METHOD = "finetune is not among the methods"
NO_CONSTANT = "evaluate's metrics.json has no number at 'constant'; run evaluate again"
NOT_EVALUATED = "finetune is among the methods, and its student of this seed was not evaluated on these rows"


@dataclass(frozen=True)
class DevRows:
    """Evidence for one student: N dev rows, C logits (one for regression)."""

    metric: str
    """The primary metric."""
    kind: Kind
    labels: Array
    """(N,) class numbers, or floats for regression."""
    student: Array
    """(N, C)"""
    teacher: Array
    """(N, C)"""
    constant: float
    """Train's most frequent class, or train's mean."""
    finetune: Array | None
    """(N, C) of the fine-tuned student of the same dataset and seed; None: see `no_finetune`."""
    selected_on: str
    """'selection', or 'dev' under the papers' protocol."""
    parameters: int
    latency_ms: float
    no_finetune: str = NOT_A_METHOD
    """IS_FINETUNE, NOT_A_METHOD or NOT_EVALUATED."""

    @property
    def constants(self) -> Array:
        """The logits of the constant baseline (N, C)."""
        return KINDS[self.kind].constant_logits(self.constant, self.student.shape)

    @property
    def scale(self) -> float:
        """Points per unit of the metric, signed so that higher is better.

        A score has 100. A squared error has no natural unit: the error of the constant is 100 points there.
        """
        if self.metric not in LOWER_IS_BETTER:
            return 100.0
        error = compute_metrics([self.metric], self.constants, self.labels, self.kind)[self.metric]
        return -100.0 / error if error > 0 else -100.0

    @property
    def rows(self) -> int:
        return len(self.labels)


def read_dev_rows(dataset: str, method: str, seed: int, *, metric: str, kind: Kind, methods: Sequence[str]) -> DevRows:
    """Evidence for one student from evaluate's output, with the fine-tuned student if `methods` has it.

    Raises UserError if evaluate's predictions or metrics are missing or cannot be read.
    """
    own, other = evaluate_folder(dataset, method, seed), evaluate_folder(dataset, BASELINE, seed) / PREDICTIONS
    finetune, why = None, IS_FINETUNE if method == BASELINE else NOT_A_METHOD
    if method != BASELINE and BASELINE in methods:
        finetune, why = read_predictions(other, kind).get(DEV) if other.exists() else None, NOT_EVALUATED
    return evidence(read_evaluation(own, kind), metric, kind, finetune, why)


def evidence(
    evaluation: Evaluation,
    metric: str,
    kind: Kind,
    finetune: PairedPredictions | None,
    no_finetune: str,
    constant: float | None = None,
) -> DevRows:
    """Evidence from one evaluation; the fine-tuned student's counts if its rows are the same. KeyError without dev.

    `constant` is of a metrics.json that has none: one that was written before evaluate recorded it.
    """
    rows, metrics = evaluation.predictions[DEV], evaluation.metrics
    constant = constant if metrics.constant is None else metrics.constant
    if constant is None:
        raise UserError(NO_CONSTANT)
    same = finetune and finetune.row_ids == rows.row_ids and np.array_equal(finetune.labels, rows.labels)
    return DevRows(
        metric=metric,
        kind=kind,
        labels=rows.labels,
        student=rows.student,
        teacher=rows.teacher,
        constant=constant,
        finetune=finetune.student if finetune and same else None,
        selected_on=metrics.selected_on,
        parameters=metrics.parameters.student,
        latency_ms=metrics.latency_ms.student.p50,
        no_finetune=no_finetune,
    )


def evidence_of(one: "DatasetOutputs", method: str, seed: int) -> DevRows:
    """Evidence for one student, with the fine-tuned student of its seed. Raises UserError for old records."""
    own = one.evaluations[method, seed]
    if own.metrics.constant is None:
        raise UserError(f"{one.name} {method} {seed}: {NO_CONSTANT}")
    one.dev(method, seed)  # refused without dev rows
    finetune, why = None, IS_FINETUNE if method == BASELINE else NOT_A_METHOD
    if method != BASELINE and any(name == BASELINE for name, _ in one.evaluations):
        finetune, why = one.dev(BASELINE, seed) if (BASELINE, seed) in one.evaluations else None, NOT_EVALUATED
    return evidence(own, one.headline, one.kind, finetune, why)
