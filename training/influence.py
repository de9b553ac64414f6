"""Each row's part in a metric: the score of all rows, and what it loses and gains with each row (jackknife)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.running.records import Kind
from training.running.metrics import LOWER_IS_BETTER, Floats, class_metric, compute_metrics, row_losses


@dataclass(frozen=True)
class Parts:
    """A metric over all rows, and pseudo-values of the rows (N,), whose variance over N is that of the metric."""

    score: float
    rows: Floats


def row_parts(metric: str, kind: Kind, labels: NDArray[np.generic], logits: NDArray[np.generic]) -> Parts:
    """The parts of the rows: labels (N,), logits (N, C).

    A mean over rows (accuracy, losses) has the rows' values; a metric of the table of counts has Tukey's pseudo-values,
    N * score - (N - 1) * score without the row; correlations have their influence function, whose mean is the score.
    """
    score = compute_metrics([metric], logits, labels, kind)[metric]
    if metric in LOWER_IS_BETTER:
        return Parts(score, row_losses(logits, labels, kind))
    if kind != "regression":
        return Parts(score, _class_parts(metric, labels.astype(np.int64), logits, score))
    predictions, truth = logits[:, 0].astype(np.float64), labels.astype(np.float64)
    influence = {"pearson": pearson_influence, "spearman": spearman_influence}[metric]
    return Parts(score, score + influence(predictions, truth))


def _class_parts(metric: str, labels: NDArray[np.int64], logits: NDArray[np.generic], score: float) -> Floats:
    """Pseudo-values of a metric of counts: rows of the same true and predicted class share theirs."""
    if metric == "accuracy":
        return (logits.argmax(axis=1) == labels).astype(np.float64)
    count, classes = logits.shape
    cells, which, sizes = np.unique(labels * classes + logits.argmax(axis=1), return_inverse=True, return_counts=True)
    counts = np.zeros(classes * classes)
    counts[cells] = sizes
    without = np.repeat(counts[None], len(cells), axis=0)
    without[np.arange(len(cells)), cells] -= 1
    left = class_metric(metric, without.reshape(-1, classes, classes))
    return (count * score - (count - 1) * left)[which]


def pearson_influence(first: Floats, second: Floats) -> Floats:
    """Influence of each row on Pearson's correlation (N,); its mean is 0. Zeros where one side does not vary."""
    spread = first.std(), second.std()
    if not all(spread):
        return np.zeros(len(first))
    x, y = (first - first.mean()) / spread[0], (second - second.mean()) / spread[1]
    return x * y - (x * y).mean() * (x**2 + y**2) / 2


def spearman_influence(first: Floats, second: Floats) -> Floats:
    """Influence of each row on Spearman's correlation: its own ranks, and what it does to the ranks of others."""
    first, second = (_mid_ranks(side) for side in (first, second))
    spread = first.std(), second.std()
    if not all(spread):
        return np.zeros(len(first))
    x, y = first - first.mean(), second - second.mean()
    product = x * y + _of_those_above(first, y) + _of_those_above(second, x)
    squares = [side**2 + 2 * _of_those_above(ranks, side) for ranks, side in ((first, x), (second, y))]
    r = (x * y).mean() / (spread[0] * spread[1])
    scaled = product / (spread[0] * spread[1]) - r / 2 * (squares[0] / spread[0] ** 2 + squares[1] / spread[1] ** 2)
    return scaled - scaled.mean()


def _mid_ranks(values: Floats) -> Floats:
    """Mid-ranks as a share of the rows, from 0 to 1."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(sizes) - sizes / 2) / len(values))[group]


def _of_those_above(ranks: Floats, others: Floats) -> Floats:
    """For each row the mean over all rows of [rank above its own] * other, half where they tie: (N,)."""
    _, group = np.unique(ranks, return_inverse=True)
    sums = np.bincount(group, weights=others)
    return ((sums.sum() - np.cumsum(sums) + sums / 2) / len(ranks))[group]
