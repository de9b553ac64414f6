"""Differences on dev: a student minus its teacher or another student, with intervals over rows and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errors import UserError
from kinds import KINDS, LOWER_IS_BETTER
from reporting.evaluations import PairedPredictions
from reporting.gather import TEACHER, DatasetOutputs
from reporting.statistics import Interval, Spread, mean_interval, mean_sd, paired_interval

STAND_IN = "accuracy"


@dataclass(frozen=True)
class Margin:
    """A student minus its teacher: interval over dev rows and seeds, spread over seeds, difference in rows."""

    interval: Interval
    over_seeds: Spread
    rows_more_right: float | None
    """Dev rows right beyond the teacher's, mean over seeds; None for regression."""


def margin_of(one: DatasetOutputs, method: str, seeds: Sequence[int], level: float) -> Margin:
    """One dataset's margin; `level` is the interval's coverage as a fraction."""
    found = between(one, method, None, seeds, level)
    more = [_rows_more_right(one.dev(method, seed)) for seed in seeds]
    over_seeds = mean_sd([difference(one, method, seed) for seed in seeds])
    return Margin(found, over_seeds, float(np.mean(more)) if KINDS[one.kind].has_classes else None)


def _rows_more_right(predictions: PairedPredictions) -> int:
    student = predictions.student.argmax(axis=1) == predictions.labels
    return int(student.sum()) - int((predictions.teacher.argmax(axis=1) == predictions.labels).sum())


def mean_margin(
    outputs: Sequence[DatasetOutputs], method: str, seeds: Sequence[int], each: Sequence[Margin], level: float
) -> Margin:
    """The mean of the datasets' margins; rows are those of all datasets together."""
    by_seed = np.mean([[difference(one, method, seed) for seed in seeds] for one in outputs], axis=0)
    counts = [margin.rows_more_right for margin in each if margin.rows_more_right is not None]
    more = float(sum(counts)) if len(counts) == len(each) else None
    whole = mean_interval([margin.interval for margin in each], level)
    return Margin(whole, mean_sd([float(value) for value in by_seed]), more)


def difference(one: DatasetOutputs, method: str, seed: int) -> float:
    """Student minus teacher of one seed in the primary metric."""
    return one.values(method, [seed], [method])[0] - one.values(TEACHER, [seed], [method])[0]


def between(
    one: DatasetOutputs, first: str, second: str | None, seeds: Sequence[int], level: float, metric: str | None = None
) -> Interval:
    """A student minus another one, or minus its own teacher (None), on dev; in the primary metric by default."""
    own = [one.dev(first, seed) for seed in seeds]
    others = own if second is None else [one.dev(second, seed) for seed in seeds]
    if any(rows.row_ids != own[0].row_ids for rows in (*own, *others)):
        if second is None:
            what = f"{one.name} {first}: its seeds were evaluated on different dev rows"
        else:
            what = f"{one.name}: {first} and {second} saw different dev rows"
        raise UserError(f"evaluate {what}; run `dvc repro`")
    students = [rows.student for rows in own]
    against = [rows.teacher if second is None else rows.student for rows in others]
    return paired_interval(metric or one.headline, one.kind, own[0].labels, students, against, level)


def better(interval: Interval, metric: str) -> Interval:
    """The interval, signed so that higher is better."""
    if metric not in LOWER_IS_BETTER:
        return interval
    low, high = (None if end is None else -end for end in (interval.high, interval.low))
    return Interval(-interval.difference, low, high, interval.level, interval.rows, interval.seeds, interval.method)


def told_apart(
    one: DatasetOutputs, first: str, second: str, seeds: Sequence[int], level: float
) -> tuple[Interval, str | None]:
    """A student minus another one, higher is better, and the metric if it is not the primary one.

    Macro-F1 has no interval where a class has few rows. That one student is right on many more of the rows is seen there, too.
    """
    found = better(between(one, first, second, seeds, level), one.headline)
    if found.low is not None or one.headline != "macro_f1":
        return found, None
    other = between(one, first, second, seeds, level, STAND_IN)
    return (found, None) if other.low is None else (other, STAND_IN)
