"""Rows that the teacher gets right and the student wrong, and the reverse; for a regression those that went furthest."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinds import KINDS
from reporting.classes import class_name
from reporting.evaluations import PairedPredictions
from reporting.gather import DatasetOutputs

LOST, WON = "teacher right, student wrong", "student right, teacher wrong"
FURTHER, NEARER = "student further from the label", "student nearer to the label"
SHOWN = 5
HEADER = (
    *("dataset", "method", "seed", "row_id", "what", "label"),
    *("teacher", "teacher_confidence", "student", "student_confidence"),
)


@dataclass(frozen=True)
class ChangedRow:
    """A dev row on which teacher and student differ."""

    row_id: str
    what: str
    label: str
    teacher: str
    """Its answer."""
    teacher_confidence: float | None
    """The probability that it gives its answer; None for a regression."""
    student: str
    student_confidence: float | None


class Changed(Protocol):
    """A student with the rows that it lost and won."""

    @property
    def dataset(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def lost(self) -> list[ChangedRow]: ...
    @property
    def won(self) -> list[ChangedRow]: ...


def changed_rows(one: DatasetOutputs, rows: PairedPredictions) -> tuple[list[ChangedRow], list[ChangedRow]]:
    """(Lost, won): the student's most confident answers first; of a regression the largest changes of the error."""
    if not KINDS[one.kind].has_classes:
        return _regression(rows)
    labels, teacher, student = rows.labels.astype(np.int64), softmax(rows.teacher), softmax(rows.student)
    said = {"teacher": teacher.argmax(axis=1), "student": student.argmax(axis=1)}
    right = {who: answer == labels for who, answer in said.items()}
    names = [class_name(one.label_names, number) for number in range(student.shape[1])]

    def listed(places: NDArray[np.bool_], what: str) -> list[ChangedRow]:
        order = sorted(np.flatnonzero(places), key=lambda row: -student[row].max())
        return [
            ChangedRow(
                rows.row_ids[row],
                what,
                names[labels[row]],
                names[said["teacher"][row]],
                float(teacher[row].max()),
                names[said["student"][row]],
                float(student[row].max()),
            )
            for row in order
        ]

    lost, won = right["teacher"] & ~right["student"], right["student"] & ~right["teacher"]
    return listed(lost, LOST), listed(won, WON)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities (N, C) of logits (N, C)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _regression(rows: PairedPredictions) -> tuple[list[ChangedRow], list[ChangedRow]]:
    labels, teacher, student = rows.labels.astype(np.float64), rows.teacher[:, 0], rows.student[:, 0]
    grown = np.abs(student - labels) - np.abs(teacher - labels)

    def listed(places: Sequence[int], what: str) -> list[ChangedRow]:
        return [
            ChangedRow(
                rows.row_ids[row], what, f"{labels[row]:.3g}", f"{teacher[row]:.3g}", None, f"{student[row]:.3g}", None
            )
            for row in places
        ]

    order = np.argsort(-grown, kind="stable")
    further = [int(row) for row in order if grown[row] > 0]
    nearer = [int(row) for row in order[::-1] if grown[row] < 0]
    return listed(further, FURTHER), listed(nearer, NEARER)


def rows_csv(parts: Sequence["Changed"]) -> str:
    """All changed rows of these students as CSV, lost ones first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for one in parts:
        for row in (*one.lost, *one.won):
            said = (row.teacher, _short(row.teacher_confidence), row.student, _short(row.student_confidence))
            writer.writerow((one.dataset, one.method, one.seed, row.row_id, row.what, row.label, *said))
    return text.getvalue()


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def texts_of(rows: Sequence[ChangedRow], found: Mapping[str, str]) -> list[str]:
    """The rows' texts, '' where they are not at hand."""
    return [found.get(row.row_id, "") for row in rows]
