"""Spread over seeds, and intervals of scores and of paired differences over rows and training seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kinds import KINDS, TASK_LOSS, Floats, Kind
from metrics import compute_metrics, row_losses
from reporting.intervals import Bounds, common_share, over_seeds, wilson
from reporting.row_intervals import RowInterval, of_correlations, of_counts, of_means, of_paired_shares, of_shares

LEVEL = 0.95
FEWEST_ROWS = 20
# Macro-F1 of more than two classes bends with the counts of each: fewer rows a class give intervals that are too short.
FEWEST_ROWS_A_CLASS = 10
SHARES = ("accuracy", "f1", "macro_f1")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `count` values; `sd` is None for a single value."""

    mean: float
    sd: float | None
    count: int


@dataclass(frozen=True)
class Interval:
    """A difference, or one score, with its interval over all rows and, from two seeds on, over all seeds."""

    difference: float
    low: float | None
    """None, like `high`, if there are too few rows."""
    high: float | None
    level: float
    """A fraction."""
    rows: int
    seeds: int
    method: str
    """The method of the interval, in words."""


def mean_sd(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of the values; raises ValueError if there are none."""
    if not values:
        raise ValueError("mean and standard deviation of no values: at least one seed is needed")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


def paired_interval(
    metric: str,
    kind: Kind,
    labels: NDArray[np.generic],
    students: Sequence[NDArray[np.generic]],
    teachers: Sequence[NDArray[np.generic]],
    level: float,
) -> Interval:
    """A metric of the students minus that of the teachers on the same rows, with its interval.

    labels (N,); students, teachers: logits (N, C), one array a training seed, in the same order of seeds. A single teacher
    stands for that of every seed. The interval is of the mean over all rows like these and, from two seeds on, over all
    seeds; of one seed it says nothing about another.
    """
    students, teachers = _paired(students, teachers)
    if metric in TASK_LOSS:
        losses = [[row_losses(one, labels, kind) for one in side] for side in (students, teachers)]
        return paired_mean_interval(losses[0], losses[1], level)
    own, other = ([_score(metric, kind, labels, logits) for logits in side] for side in (students, teachers))
    by_seed = np.array(own) - np.array(other)
    limit = 1.0 if metric in SHARES else 2.0
    found = partial(_rows, metric, kind, labels, students, teachers, by_seed)
    fewest = fewest_rows(metric, _classes(kind, labels, [*students, *teachers]))
    return _interval(by_seed, len(labels), level, found, (-limit, limit), fewest)


def paired_mean_interval(
    students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]], level: float
) -> Interval:
    """Difference of means over rows, students minus teachers, with its interval.

    students, teachers: values of the rows (N,), one array per training seed; see `paired_interval`.
    """
    pairs = list(zip(*_paired(students, teachers), strict=True))
    parts = np.array([own.astype(np.float64) - other.astype(np.float64) for own, other in pairs])
    # Rows that were not seen to differ may do so by as much as values do at all.
    most = float(np.ptp(np.array(pairs, dtype=np.float64)))
    by_seed = parts.mean(axis=1)
    return _interval(by_seed, parts.shape[1], level, lambda level: of_means(parts, level, most))


def score_interval(
    metric: str, kind: Kind, labels: NDArray[np.generic], predictions: Sequence[NDArray[np.generic]], level: float
) -> Interval:
    """One model's own metric, with its interval: labels (N,), logits (N, C), one array a seed."""
    if metric in TASK_LOSS:
        losses = [row_losses(one, labels, kind) for one in predictions]
        return paired_mean_interval(losses, [np.zeros(len(labels))], level)
    by_seed = np.array([_score(metric, kind, labels, logits) for logits in predictions])
    found = partial(_rows, metric, kind, labels, predictions, (), by_seed)
    fewest = fewest_rows(metric, _classes(kind, labels, predictions))
    return _interval(by_seed, len(labels), level, found, (0.0 if metric in SHARES else -1.0, 1.0), fewest)


def fewest_rows(metric: str, classes: int) -> int:
    """Rows below which a metric has no interval; `classes` are those averaged by macro-F1."""
    if metric != "macro_f1" or classes <= 2:
        return FEWEST_ROWS
    return classes * FEWEST_ROWS_A_CLASS


def _classes(kind: Kind, labels: NDArray[np.generic], predictions: Sequence[NDArray[np.generic]]) -> int:
    """Return the number of classes among labels and predictions; 1 for regression."""
    if not KINDS[kind].has_classes:
        return 1
    return len(np.unique(np.concatenate([labels, *(logits.argmax(axis=1) for logits in predictions)])))


def _score(metric: str, kind: Kind, labels: NDArray[np.generic], logits: NDArray[np.generic]) -> float:
    return compute_metrics([metric], logits, labels, kind)[metric]


def _rows(
    metric: str,
    kind: Kind,
    labels: NDArray[np.generic],
    students: Sequence[NDArray[np.generic]],
    teachers: Sequence[NDArray[np.generic]],
    by_seed: Floats,
    level: float,
) -> RowInterval:
    """The interval over rows of a higher-is-better metric; without teachers, of the students' own score."""
    if not KINDS[kind].has_classes:
        values = [[logits[:, 0].astype(np.float64) for logits in side] for side in (students, teachers)]
        return of_correlations(metric, by_seed, labels.astype(np.float64), *values, level)
    classes, true = students[0].shape[1], labels.astype(np.int64)
    answers = [[logits.argmax(axis=1) for logits in side] for side in (students, teachers)]
    if metric != "accuracy":
        return of_counts(metric, float(by_seed.mean()), true, *answers, classes, level)
    right = [np.array([answer == true for answer in side]) for side in answers]
    return of_paired_shares(*right, level) if teachers else of_shares(right[0], level)


def mean_interval(parts: Sequence[Interval], level: float) -> Interval:
    """The mean over datasets with independent intervals (MOVER); without bounds if one of them has none."""
    if not parts:
        raise ValueError("the mean difference of no datasets: at least one is needed")
    mean, rows = float(np.mean([part.difference for part in parts])), sum(part.rows for part in parts)
    seeds = min(part.seeds for part in parts)
    low, high = 0.0, 0.0
    for part in parts:
        if part.low is None or part.high is None:
            return Interval(mean, None, None, level, rows, seeds, f"no interval: a dataset has none ({part.method})")
        low, high = low + (part.difference - part.low) ** 2, high + (part.high - part.difference) ** 2
    half = np.sqrt([low, high]) / len(parts)
    return Interval(mean, mean - float(half[0]), mean + float(half[1]), level, rows, seeds, "MOVER over datasets")


def share_interval(count: int, of: int, level: float) -> Interval:
    """A share of rows with Wilson's interval, e.g. the recall of a class; without bounds for zero rows."""
    if not of:
        return Interval(0.0, None, None, level, 0, 1, "no rows")
    low, high = wilson(count / of, of, level)
    return Interval(count / of, low, high, level, of, 1, "Wilson's score interval")


def _interval(
    by_seed: Floats,
    rows: int,
    level: float,
    over_rows: Callable[[float], RowInterval],
    limits: Bounds | None = None,
    fewest: int = FEWEST_ROWS,
) -> Interval:
    """The mean difference of the seeds (S,) with an interval over rows and seeds, which contains it."""
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is a fraction between 0 and 1, got {level}")
    difference, seeds = float(by_seed.mean()), len(by_seed)
    if rows < fewest:
        return Interval(difference, None, None, level, rows, seeds, f"too few rows: no interval (fewer than {fewest})")
    found = over_rows(level)
    low, high = min(found.bounds[0], difference), max(found.bounds[1], difference)
    low, high = over_seeds(difference, (low, high), by_seed, common_share(found.parts, found.weights), level)
    if limits:
        low, high = max(low, limits[0]), min(high, limits[1])
    method = found.method if seeds == 1 else f"{found.method}, and Student's t over {seeds} seeds (Banerjee, 1961)"
    return Interval(difference, float(low), float(high), level, rows, seeds, method)


def _paired(
    students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]]
) -> tuple[Sequence[NDArray[np.generic]], Sequence[NDArray[np.generic]]]:
    """Both sides, one array a seed each; raises ValueError unless they are of the same rows and seeds."""
    _same_rows(students, teachers)
    if len(teachers) == 1:
        teachers = [*teachers] * len(students)
    if len(students) != len(teachers):
        raise ValueError(f"{len(students)} seeds of students can't be paired with {len(teachers)} of teachers")
    return students, teachers


def _same_rows(students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]]) -> int:
    """The number of rows that all predictions have; raises ValueError if they differ or there are none."""
    lengths = {len(predictions) for predictions in (*students, *teachers)}
    if not students or not teachers or len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"a paired difference needs predictions of the same rows by student and teacher; got {len(students)} and "
            f"{len(teachers)} predictions of {sorted(lengths)} rows"
        )
    return lengths.pop()
