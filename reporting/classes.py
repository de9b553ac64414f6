"""Precision, recall and F1 of every class, teacher and student side by side, and classes with a loss.

A recall is a share of the rows of a class, a precision one of the rows that were called it: Wilson's intervals. F1 is
2 J / (1 + J) of the share J of the rows that are right among those that are, or are called, the class; so is its interval.
How much F1 changed is a paired interval over all dev rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinds import KINDS
from reporting.evaluations import PairedPredictions
from reporting.gather import DatasetOutputs
from reporting.statistics import Interval, paired_interval, share_interval

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """One model on one class."""

    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True)
class ClassLine:
    """One class."""

    number: int
    name: str
    rows: int
    """Dev rows of the class."""
    teacher: ClassScores
    student: ClassScores
    change: Interval
    """F1 of the student minus the teacher's."""

    @property
    def fell(self) -> bool:
        """True if the student is worse beyond the interval."""
        return self.change.high is not None and self.change.high < 0


def class_lines(one: DatasetOutputs, rows: PairedPredictions, level: float) -> list[ClassLine]:
    """Every class of a classification; [] for a regression, and for a choice, whose positions have no meaning."""
    if not KINDS[one.kind].has_named_classes:
        return []
    labels = rows.labels.astype(np.int64)
    answers = {"teacher": rows.teacher.argmax(axis=1), "student": rows.student.argmax(axis=1)}
    return [
        ClassLine(
            number=number,
            name=class_name(one.label_names, number),
            rows=int((labels == number).sum()),
            teacher=_scores(labels == number, answers["teacher"] == number, level),
            student=_scores(labels == number, answers["student"] == number, level),
            change=_change(labels, answers["student"], answers["teacher"], number, level),
        )
        for number in range(rows.student.shape[1])
    ]


def class_name(names: Sequence[str], number: int) -> str:
    """A class's name, or its number if the description has none."""
    return names[number] if number < len(names) else str(number)


def _scores(of_class: NDArray[np.bool_], called: NDArray[np.bool_], level: float) -> ClassScores:
    right = int((of_class & called).sum())
    either = share_interval(right, int((of_class | called).sum()), level)
    return ClassScores(
        precision=share_interval(right, int(called.sum()), level),
        recall=share_interval(right, int(of_class.sum()), level),
        f1=replace(
            either,
            difference=_f1(either.difference),
            low=None if either.low is None else _f1(either.low),
            high=None if either.high is None else _f1(either.high),
            method=f"{either.method}, of the rows that are or are called the class",
        ),
    )


def _f1(share: float) -> float:
    return 2 * share / (1 + share)


def _change(labels: Classes, student: Classes, teacher: Classes, number: int, level: float) -> Interval:
    """Difference in F1 of the class against all others."""
    of_class = (labels == number).astype(np.int64)
    sides = [np.stack([answer != number, answer == number], axis=1).astype(np.float64) for answer in (student, teacher)]
    return paired_interval("f1", "single", of_class, sides[:1], sides[1:], level)
