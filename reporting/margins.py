"""Margins: a student minus its teacher on dev, with its interval over rows and seeds, and the spread over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errors import UserError
from kinds import KINDS
from reporting.evaluations import PairedPredictions
from reporting.gather import DatasetOutputs
from reporting.scores import TEACHER, dev_rows, headlines
from reporting.statistics import Interval, Spread, mean_interval, mean_sd, paired_interval


@dataclass(frozen=True)
class Margin:
    """A student minus its teacher: interval over dev rows and seeds, spread over seeds, and the rows behind it."""

    interval: Interval
    over_seeds: Spread
    rows_more_right: float | None
    """Dev rows that the student gets right beyond the teacher's, mean over seeds; None for regression."""


def margin_of(one: DatasetOutputs, method: str, seeds: Sequence[int], level: float) -> Margin:
    """One dataset's margin; `level` is the interval's coverage as a fraction."""
    rows = [dev_rows(one, method, seed) for seed in seeds]
    if any(predictions.row_ids != rows[0].row_ids for predictions in rows):
        raise UserError(
            f"evaluate {one.name} {method}: its seeds were evaluated on different dev rows; run `dvc repro`"
        )
    students, teachers = [part.student for part in rows], [part.teacher for part in rows]
    found = paired_interval(one.metrics[0], one.kind, rows[0].labels, students, teachers, level)
    differences = np.subtract(headlines(one, method, seeds, [method]), headlines(one, TEACHER, seeds, [method]))
    more = float(np.mean([_rows_more_right(part) for part in rows])) if KINDS[one.kind].has_classes else None
    return Margin(found, mean_sd([float(value) for value in differences]), more)


def _rows_more_right(predictions: PairedPredictions) -> int:
    student = predictions.student.argmax(axis=1) == predictions.labels
    return int(student.sum()) - int((predictions.teacher.argmax(axis=1) == predictions.labels).sum())


def mean_margin(
    outputs: Sequence[DatasetOutputs], method: str, seeds: Sequence[int], each: Sequence[Margin], level: float
) -> Margin:
    """The mean over datasets of their margins; rows are those of all datasets together."""
    pairs = [(headlines(one, method, seeds, [method]), headlines(one, TEACHER, seeds, [method])) for one in outputs]
    by_seed = np.mean([np.subtract(student, teacher) for student, teacher in pairs], axis=0)
    counts = [margin.rows_more_right for margin in each if margin.rows_more_right is not None]
    more = float(sum(counts)) if len(counts) == len(each) else None
    whole = mean_interval([margin.interval for margin in each], level)
    return Margin(whole, mean_sd([float(value) for value in by_seed]), more)
