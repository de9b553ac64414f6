"""Intervals over rows, one way for each kind of metric; `training/statistics.py` chooses, and adds the chance of training.

Each takes one array a training seed and side, and gives bounds of the mean difference over seeds, and the parts that the
rows have in it (S, N), which tell the chance that all seeds share from each one's own. Checked by simulation
(`python -m benchmarks.coverage`, docs/statistics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.influence import Classes, correlation_influence, count_influence
from training.intervals import Bounds, hall, none_of, t_quantile, tango, wilson
from training.running.metrics import Floats, class_metric

# Weights of the made-up rows beside a table of counts, four a class: of two classes they are three rows, of which two are
# such that student and teacher differ, as Bonett and Price (2012) add for a difference of paired shares.
SMOOTHING = (0.25, 0.5, 0.5, 0.25)
# Rows count as all alike where half of them weigh less than this beside the root mean square.
ALIKE = 0.1


@dataclass(frozen=True)
class RowInterval:
    """Bounds over rows, and the rows' parts (S, N) in the difference of each seed, of mean 0, with their weights (N,)."""

    bounds: Bounds
    parts: Floats
    weights: Floats
    method: str


def of_paired_shares(students: NDArray[np.bool_], teachers: NDArray[np.bool_], level: float) -> RowInterval:
    """Difference of accuracies: right or not by seed and row (S, N)."""
    parts = students.astype(np.float64) - teachers
    more, fewer = float((parts > 0).mean()), float((parts < 0).mean())
    single = more + fewer - (more - fewer) ** 2
    bounds = tango(more, fewer, _rows_of_one_seed(parts, single), level)
    return _of_values(parts, bounds, "score interval of paired shares (Tango, 1998)")


def of_shares(right: NDArray[np.bool_], level: float) -> RowInterval:
    """Accuracy of one model."""
    parts = right.astype(np.float64)
    share = float(parts.mean())
    bounds = wilson(share, _rows_of_one_seed(parts, share * (1 - share)), level)
    return _of_values(parts, bounds, "Wilson's score interval")


def _rows_of_one_seed(parts: Floats, single: float) -> float:
    """As many rows as give one seed the variance that the mean over seeds has: N if they agree, at most S times N."""
    seeds, rows = parts.shape
    common = float(parts.mean(axis=0).var())
    return rows * min(float(seeds), max(1.0, single / common)) if common else float(rows)


def _of_values(parts: Floats, bounds: Bounds, method: str) -> RowInterval:
    return RowInterval(bounds, parts - parts.mean(axis=1, keepdims=True), np.ones(parts.shape[1]), method)


def of_counts(
    metric: str, labels: Classes, students: Sequence[Classes], teachers: Sequence[Classes], classes: int, level: float
) -> RowInterval:
    """F1, macro-F1 or Matthews from class numbers (N,), linear in the counts, after a few made-up rows are added.

    For each class there are four: right or wrong by the student, right or wrong by the teacher. So something varies also
    where both answer alike, where a class has one row or none, and where a model has one answer only (Agresti and Coull's manner).
    Without teachers the metric is the students' own.
    """
    seen = np.unique(np.concatenate([labels, *students, *teachers]))
    kind, made = np.divmod(np.arange(4 * len(seen)), len(seen))
    weights = np.concatenate([np.ones(len(labels)), np.repeat(SMOOTHING, len(seen))])
    true = np.concatenate([labels, seen[made]])
    wrong = np.roll(seen, -1)[made]
    scores, parts = np.zeros(len(students)), np.zeros((len(students), len(true)))
    for sign, side, right in ((1, students, kind % 2 == 0), (-1, teachers, kind < 2)):
        for seed, own in enumerate(side):
            predicted = np.concatenate([own, np.where(right, seen[made], wrong)])
            counts = np.zeros((classes, classes))
            np.add.at(counts, (true, predicted), weights)
            scores[seed] += sign * class_metric(metric, counts[None])[0]
            parts[seed] += sign * weights.sum() * count_influence(metric, counts, true, predicted)
    error = float(np.sqrt((weights * parts.mean(axis=0) ** 2).sum())) / weights.sum()
    reach, centre = t_quantile(level, len(labels) - 1) * error, float(scores.mean())
    return RowInterval((centre - reach, centre + reach), parts, weights, "delta method on a smoothed table of counts")


def of_correlations(
    metric: str, scores: Floats, labels: Floats, students: Sequence[Floats], teachers: Sequence[Floats], level: float
) -> RowInterval:
    """Pearson or Spearman (scores: by seed) of predictions (N,) with labels (N,), by the rows' influence; without teachers the students' own."""
    parts = np.array([correlation_influence(metric, own, labels) for own in students])
    if teachers:
        parts = parts - np.array([correlation_influence(metric, other, labels) for other in teachers])
    return of_values(scores, parts, level, 1.0)


def of_values(scores: Floats, parts: Floats, level: float, most: float) -> RowInterval:
    """Linear in the rows: mean of the scores (S,), with the rows' parts (S, N); Hall's (1992) t, which minds skewness.

    Two made-up rows as heavy as the heaviest, one either way, stand for those that few rows don't show. Where half of the
    rows have no part to speak of, the bound is at least that of a share seen in none of them, times `most`: how much
    the mean moves if every row does.
    """
    rows = parts.shape[1]
    parts = parts - parts.mean(axis=1, keepdims=True)
    mean, centre = parts.mean(axis=0), float(scores.mean())
    low, high = hall(centre, mean, level)
    if np.median(np.abs(mean)) <= ALIKE * np.sqrt((mean**2).mean()):
        least = most * none_of(rows, level)
        low, high = min(low, centre - least), max(high, centre + least)
    return RowInterval((low, high), parts, np.ones(rows), "Hall's (1992) t of the rows' influence")
