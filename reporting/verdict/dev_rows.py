"""One student's evidence: what it, its teacher, the fine-tuned student and a constant answer on the dev rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from config.methods import BASELINE
from errors import UserError
from kinds import KINDS, LOWER_IS_BETTER, Kind
from metrics import compute_metrics
from outputs import evaluate_folder, read_record
from records.evaluated import PREDICTIONS, EvaluateMetrics

Array = NDArray[np.generic]
DEV = "dev"
IS_FINETUNE = "it is the fine-tuned student"
NOT_A_METHOD = "finetune is not among the methods"
NO_CONSTANT = "evaluate's metrics.json has no number at 'constant'; run evaluate again"
NOT_EVALUATED = "finetune is among the methods, and its student of this seed was not evaluated on these rows"


@dataclass(frozen=True)
class DevRows:
    """Evidence of one student: N dev rows, C logits (one for regression)."""

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
    """(N, C) of the fine-tuned student of the same dataset and seed; None: `no_finetune` says why."""
    selected_on: str
    """'selection', or 'dev' under the papers' protocol."""
    parameters: int
    latency_ms: float
    no_finetune: str = NOT_A_METHOD
    """IS_FINETUNE, NOT_A_METHOD or NOT_EVALUATED."""

    @property
    def constants(self) -> Array:
        """The logits of a model that always gives the same answer (N, C)."""
        return KINDS[self.kind].constant_logits(self.constant, self.student.shape)

    @property
    def scale(self) -> float:
        """Points that a difference of 1 in the metric is, more being better.

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
    """The evidence that evaluate left of one student, and of the fine-tuned one where `methods` has it.

    Raises OSError where evaluate left no predictions, ValueError where it left something else.
    """
    own, other = evaluate_folder(dataset, method, seed), evaluate_folder(dataset, BASELINE, seed)
    table, metrics = _dev_table(own), read_record(EvaluateMetrics, own)
    finetune, why = None, IS_FINETUNE if method == BASELINE else NOT_A_METHOD
    if method != BASELINE and BASELINE in methods:
        finetune = _student_of(other, table)
        why = NOT_EVALUATED
    return dev_rows(table, metrics, metric=metric, kind=kind, finetune=finetune, no_finetune=why)


def dev_rows(
    table: pa.Table,
    metrics: EvaluateMetrics,
    *,
    metric: str,
    kind: Kind,
    finetune: Array | None,
    no_finetune: str,
    constant: float | None = None,
) -> DevRows:
    """The evidence in the dev rows of a predictions.parquet and a metrics.json.

    `constant` is of a metrics.json that has none: one that was written before evaluate recorded it.
    """
    labels = np.array(table.column("label").to_pylist())
    constant = constant if metrics.constant is None else metrics.constant
    if constant is None:
        raise UserError(NO_CONSTANT)
    return DevRows(
        metric=metric,
        kind=kind,
        labels=labels.astype(KINDS[kind].label_type),
        student=_logits(table, "student_logits"),
        teacher=_logits(table, "teacher_logits"),
        constant=constant,
        finetune=finetune,
        selected_on=metrics.selected_on,
        parameters=metrics.parameters.student,
        latency_ms=metrics.latency_ms.student.p50,
        no_finetune=no_finetune,
    )


def read_table(path: Path) -> pa.Table:
    """The dev rows of a predictions.parquet."""
    return parquet.read_table(path, filters=[("set", "=", DEV)])


def _dev_table(folder: Path) -> pa.Table:
    return read_table(folder / PREDICTIONS)


def _student_of(folder: Path, rows: pa.Table) -> Array | None:
    """Logits of another student on the same rows, in their order; None if they are not there."""
    try:
        table = _dev_table(folder)
    except OSError:
        return None
    return same_rows(table, rows)


def same_rows(table: pa.Table, rows: pa.Table) -> Array | None:
    """The student's logits of a table for the rows of another, by row id and label; None if it lacks one."""
    found = {key: place for place, key in enumerate(_keys(table))}
    wanted = [found.get(key) for key in _keys(rows)]
    if not wanted or None in wanted:
        return None
    return _logits(table, "student_logits")[np.array(wanted, dtype=np.int64)]


def _keys(table: pa.Table) -> list[tuple[str, float]]:
    return list(zip(table.column("row_id").to_pylist(), table.column("label").to_pylist(), strict=True))


def _logits(table: pa.Table, column: str) -> Array:
    return np.array(table.column(column).to_pylist(), dtype=np.float64)
