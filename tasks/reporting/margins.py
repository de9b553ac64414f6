"""Margins: a student minus its teacher on dev, with a paired bootstrap interval over rows and the spread over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from seeds import named
from tasks.reporting.evaluations import Predictions
from tasks.reporting.gather import DatasetOutputs
from tasks.reporting.scores import TEACHER, dev_rows, headlines, score_rows
from tasks.running.stage import StageError
from training.statistics import Bootstrap, Interval, Spread, interval, mean_bootstrap, mean_sd, paired_bootstrap


@dataclass(frozen=True)
class Margin:
    """A student minus its teacher: interval over dev rows, spread over seeds, and the rows behind it."""

    interval: Interval
    over_seeds: Spread
    rows_more_right: float | None
    """Dev rows that the student gets right beyond the teacher's, mean over seeds; None for regression."""


def bootstrap_margin(one: DatasetOutputs, method: str, seeds: Sequence[int], resamples: int) -> Bootstrap:
    """Student minus teacher on resampled dev rows; one draw per dataset, so that methods see the same resamples."""
    all_seeds = [dev_rows(one, method, seed) for seed in seeds]
    if any(predictions.row_ids != all_seeds[0].row_ids for predictions in all_seeds):
        raise StageError(
            f"evaluate {one.name} {method}: its seeds were evaluated on different dev rows; run `dvc repro`"
        )
    score = partial(score_rows, one.metrics[0], all_seeds[0].labels, one.kind)
    students, teachers = [p.student for p in all_seeds], [p.teacher for p in all_seeds]
    return paired_bootstrap(score, students, teachers, n=resamples, seed=named(0, "report", one.name))


def margin_of(one: DatasetOutputs, method: str, seeds: Sequence[int], boot: Bootstrap, level: float) -> Margin:
    """One dataset's margin; `boot` is its bootstrap, `level` the interval's coverage as a fraction."""
    rows = [dev_rows(one, method, seed) for seed in seeds]
    differences = np.subtract(headlines(one, method, seeds, [method]), headlines(one, TEACHER, seeds, [method]))
    more = None if one.kind == "regression" else float(np.mean([_rows_more_right(p) for p in rows]))
    return Margin(interval(boot, level), mean_sd([float(value) for value in differences]), more)


def _rows_more_right(predictions: Predictions) -> int:
    student = predictions.student.argmax(axis=1) == predictions.labels
    return int(student.sum()) - int((predictions.teacher.argmax(axis=1) == predictions.labels).sum())


def mean_margin(
    outputs: Sequence[DatasetOutputs], method: str, seeds: Sequence[int], boots: Sequence[Bootstrap], level: float
) -> Margin:
    """The mean over datasets, each one's rows drawn on their own; rows are those of all datasets together."""
    each = [margin_of(one, method, seeds, boot, level) for one, boot in zip(outputs, boots, strict=True)]
    pairs = [(headlines(one, method, seeds, [method]), headlines(one, TEACHER, seeds, [method])) for one in outputs]
    by_seed = np.mean([np.subtract(student, teacher) for student, teacher in pairs], axis=0)
    counts = [margin.rows_more_right for margin in each if margin.rows_more_right is not None]
    more = float(sum(counts)) if len(counts) == len(each) else None
    return Margin(interval(mean_bootstrap(boots), level), mean_sd([float(value) for value in by_seed]), more)
