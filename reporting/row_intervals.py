"""Intervals over rows for each kind of metric; `reporting/statistics.py` adds the variance of training.

Each takes one array a training seed and side, and gives bounds of the mean difference over seeds, and the parts that the
rows have in it (S, N), which tell the chance that all seeds share from each one's own. Checked by simulation
(`python -m experiments.coverage`, docs/statistics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinds import Floats
from metrics import class_metric
from reporting.influence import Classes, correlation_influence, count_influence, mid_ranks
from reporting.intervals import Bounds, hall, none_of, t_quantile, tango, wilson

# Weights of the made-up rows beside a table of counts, four a class: of two classes they are three rows in all, of which two
# are such that student and teacher differ, as Bonett and Price (2012) add for a difference of paired shares.
SMOOTHING = (0.25, 0.5, 0.5, 0.25)
# Values differ by something from a thousandth of their range on. Few rows tell two models apart under this share of them.
ALIKE, FEW = 1e-3, 0.25


@dataclass(frozen=True)
class RowInterval:
    """Interval over rows, and the share of each row in it."""

    bounds: Bounds
    parts: Floats
    """(S, N): contribution of each row to each seed's difference, with mean 0 over the rows."""
    weights: Floats
    """(N,): weights of the rows."""
    method: str
    """The method of the interval, in words."""


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
    """Effective number of rows for the mean over seeds: N if the seeds agree, at most S times N."""
    seeds, rows = parts.shape
    common = float(parts.mean(axis=0).var())
    return rows * min(float(seeds), max(1.0, single / common)) if common else float(rows)


def _of_values(parts: Floats, bounds: Bounds, method: str) -> RowInterval:
    return RowInterval(bounds, parts - parts.mean(axis=1, keepdims=True), np.ones(parts.shape[1]), method)


def of_counts(
    metric: str,
    measured: float,
    labels: Classes,
    students: Sequence[Classes],
    teachers: Sequence[Classes],
    classes: int,
    level: float,
) -> RowInterval:
    """F1, macro-F1 or Matthews from class numbers (N,), linear in the counts, with a few added pseudo-rows.

    For each class there are four: right or wrong by the student, right or wrong by the teacher. So something varies also
    where both answer alike, where a class has one row or none, and where a model has one answer only (Agresti and Coull's manner).
    Without teachers the metric is the students' own. `measured` is the difference on the rows as they are.
    """
    seen = np.unique(np.concatenate([labels, *students, *teachers]))
    if len(seen) == 1:  # one answer, and always right: another class must be possible
        seen = np.array([seen[0], (seen[0] + 1) % classes])
    kind, made = np.divmod(np.arange(4 * len(seen)), len(seen))
    each = np.array(SMOOTHING) * 2 / len(seen)  # the same in all, whatever the number of classes
    weights = np.concatenate([np.ones(len(labels)), np.repeat(each, len(seen))])
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
    # The made-up rows draw the centre towards 0: on the other side it reaches as far from what was measured.
    low, high = min(centre, measured) - reach, max(centre, measured) + reach
    return RowInterval((low, high), parts, weights, "delta method on a smoothed table of counts")


def of_correlations(
    metric: str, scores: Floats, labels: Floats, students: Sequence[Floats], teachers: Sequence[Floats], level: float
) -> RowInterval:
    """Pearson or Spearman (scores: by seed) of predictions with labels, all (N,); of the students if no teachers."""
    parts = np.array([correlation_influence(metric, own, labels) for own in students])
    if not teachers:
        return of_values(scores, parts, _share_apart(parts), level, 1.0)
    parts = parts - np.array([correlation_influence(metric, other, labels) for other in teachers])
    pairs = list(zip(students, teachers, strict=True))
    apart = _share_apart(np.array([(own - other) / (np.ptp(other) or 1.0) for own, other in pairs]))
    if metric == "spearman":  # models may answer apart and still put the rows in one order
        apart = min(apart, _share_apart(np.array([mid_ranks(own) - mid_ranks(other) for own, other in pairs])))
    return of_values(scores, parts, apart, level, 1.0)


def _share_apart(differences: Floats) -> float:
    """Share of the rows on which any seed's values (S, N) differ."""
    return float((np.abs(differences) > ALIKE).any(axis=0).mean())


def of_means(parts: Floats, level: float, most: float) -> RowInterval:
    """Mean of row values, or of their differences, by seed and row (S, N), differing by `most` at most."""
    return of_values(parts.mean(axis=1), parts, _share_apart(parts / (most or 1.0)), level, most)


def of_values(scores: Floats, parts: Floats, apart: float, level: float, most: float) -> RowInterval:
    """A score by seed (S,), about linear in the rows: their parts (S, N) give its variance and skewness.

    Where few rows tell student and teacher apart (their share: `apart`), those that do may be harmless by chance. So the
    bound is then at least that of a share seen in no row, times `most`: how far the score moves if every row does.
    """
    rows = parts.shape[1]
    parts = parts - parts.mean(axis=1, keepdims=True)
    centre = float(scores.mean())
    low, high = hall(centre, parts.mean(axis=0), level)
    if apart < FEW:
        least = most * none_of(rows, level)
        low, high = min(low, centre - least), max(high, centre + least)
    return RowInterval(
        (low, high), parts, np.ones(rows), "Student's t of the rows' influence, skewed after Hall (1992)"
    )
