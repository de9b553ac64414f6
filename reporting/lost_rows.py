"""Rows where only the teacher or only the student is right; for a regression, rows with the largest change of error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from kinds import KINDS
from reporting.classes import class_name
from reporting.evaluations import PairedPredictions
from reporting.gather import DatasetOutputs

LOST, WON = "teacher right, student wrong", "student right, teacher wrong"
FURTHER, NEARER = "student further from the label", "student nearer to the label"
SHOWN = 5


@dataclass(frozen=True)
class ChangedRow:
    """A dev row on which teacher and student differ."""

    row_id: str
    what: str
    label: str
    teacher: str
    """Its prediction."""
    teacher_confidence: float | None
    """Its confidence in the prediction; None for a regression."""
    student: str
    student_confidence: float | None


def changed_rows(one: DatasetOutputs, rows: PairedPredictions) -> tuple[list[ChangedRow], list[ChangedRow]]:
    """(Lost, won): the student's most confident predictions first; for a regression the largest changes of error."""
    if KINDS[one.kind].has_classes:
        return _changed_classes(one, rows)
    labels, teacher, student = rows.labels.astype(np.float64), rows.teacher[:, 0], rows.student[:, 0]
    grown = np.abs(student - labels) - np.abs(teacher - labels)
    order = np.argsort(-grown, kind="stable")

    def listed(places: NDArray[np.int64], what: str) -> list[ChangedRow]:
        texts = [[f"{values[row]:.3g}" for values in (labels, teacher, student)] for row in places]
        return [
            ChangedRow(rows.row_ids[row], what, label, own, None, other, None)
            for row, (label, own, other) in zip(places, texts, strict=True)
        ]

    return listed(order[grown[order] > 0], FURTHER), listed(order[::-1][grown[order[::-1]] < 0], NEARER)


def _changed_classes(one: DatasetOutputs, rows: PairedPredictions) -> tuple[list[ChangedRow], list[ChangedRow]]:
    labels, teacher, student = (
        rows.labels.astype(np.int64),
        softmax(rows.teacher, axis=1),
        softmax(rows.student, axis=1),
    )
    names = [class_name(one.label_names, number) for number in range(student.shape[1])]
    right = [said.argmax(axis=1) == labels for said in (teacher, student)]

    def listed(places: NDArray[np.bool_], what: str) -> list[ChangedRow]:
        order = sorted(np.flatnonzero(places), key=lambda row: -student[row].max())
        answers = [
            [(names[said[row].argmax()], float(said[row].max())) for said in (teacher, student)] for row in order
        ]
        return [
            ChangedRow(rows.row_ids[row], what, names[labels[row]], *own, *other)
            for row, (own, other) in zip(order, answers, strict=True)
        ]

    return listed(right[0] & ~right[1], LOST), listed(right[1] & ~right[0], WON)
