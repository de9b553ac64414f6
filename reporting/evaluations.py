"""Output of evaluate for one student and its teacher: scores, sizes, speed, memory, predictions by row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from errors import UserError
from kinds import KINDS, Kind
from outputs import must_exist, read_record
from records.evaluated import PREDICTIONS, EvaluateMetrics


@dataclass(frozen=True)
class PairedPredictions:
    """Predictions of one student and its teacher on one set of rows, ordered by row id."""

    row_ids: list[str]
    labels: NDArray[np.generic]
    """(N,) class numbers, or floats for regression."""
    student: NDArray[np.float64]
    """(N, C) logits."""
    teacher: NDArray[np.float64]
    """(N, C) logits."""


@dataclass(frozen=True)
class Evaluation:
    """One student and its teacher: metrics, and predictions by set (dev, selection, dev_mismatched)."""

    metrics: EvaluateMetrics
    predictions: dict[str, PairedPredictions]


def read_evaluation(folder: Path, kind: Kind) -> Evaluation:
    """Read the output of evaluate. Raises UserError where it is missing or damaged."""
    return Evaluation(read_record(EvaluateMetrics, folder), read_predictions(folder / PREDICTIONS, kind))


def read_predictions(path: Path, kind: Kind) -> dict[str, PairedPredictions]:
    """Predictions by set, rows ordered by id so that two seeds can be paired."""
    must_exist(path)
    table = parquet.read_table(path)
    columns = {
        name: table.column(name).to_pylist() for name in ("set", "row_id", "label", "student_logits", "teacher_logits")
    }
    found: dict[str, PairedPredictions] = {}
    for name in dict.fromkeys(columns["set"]):
        rows = [row for row, of_set in enumerate(columns["set"]) if of_set == name]
        rows.sort(key=lambda row: str(columns["row_id"][row]))
        row_ids = [str(columns["row_id"][row]) for row in rows]
        if len(set(row_ids)) != len(row_ids):
            raise UserError(f"{path}: set {name} holds a row id twice; predictions can't be paired by row")
        labels = np.array([columns["label"][row] for row in rows], dtype=KINDS[kind].label_type)
        student, teacher = (
            np.array([columns[f"{who}_logits"][row] for row in rows], dtype=np.float64)
            for who in ("student", "teacher")
        )
        found[name] = PairedPredictions(row_ids, labels, student, teacher)
    return found
