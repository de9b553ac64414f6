"""Influence of each row on a metric: gradients of metrics of counts, influence functions of correlations."""

import numpy as np
from numpy.typing import NDArray

from errors import UserError
from kinds import Floats

Classes = NDArray[np.int64]


def count_influence(metric: str, counts: Floats, true: Classes, predicted: Classes) -> Floats:
    """Return the growth of a metric of the counts (C, C), true by predicted class, with one more of each row (N,)."""
    right = np.diagonal(counts)
    of_true, of_predicted = counts.sum(axis=1), counts.sum(axis=0)
    hit = true == predicted
    if metric == "matthews":
        total = counts.sum()
        covariance = right.sum() * total - of_true @ of_predicted
        spreads = total**2 - of_true @ of_true, total**2 - of_predicted @ of_predicted
        grows = hit * total + right.sum() - of_predicted[true] - of_true[predicted]
        widens = (total - of_true[true]) / spreads[0] + (total - of_predicted[predicted]) / spreads[1]
        return (grows - covariance * widens) / np.sqrt(spreads[0] * spreads[1])
    if metric not in ("f1", "macro_f1"):
        raise UserError(
            f"metric {metric!r} has no influence of a row; add it to count_influence in reporting/influence.py"
        )
    both = of_true + of_predicted
    size = np.where(both > 0, both, 1.0)
    scores = 2 * right / size
    if metric == "f1":
        ones = (true == 1).astype(np.float64), (predicted == 1).astype(np.float64)
        return (2 * ones[0] * ones[1] - scores[1] * (ones[0] + ones[1])) / size[1]
    grows = (2 * hit - scores[true]) / size[true] - scores[predicted] / size[predicted]
    return grows / int((both > 0).sum())


def correlation_influence(metric: str, first: Floats, second: Floats) -> Floats:
    """Influence of each row (N,) on Pearson's or Spearman's correlation; 0 if one side is constant."""
    if metric not in ("pearson", "spearman"):
        raise UserError(
            f"metric {metric!r} has no influence of a row; add it to correlation_influence in reporting/influence.py"
        )
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.zeros(len(first))
    return _spearman(first, second) if metric == "spearman" else _pearson(first, second)


def _pearson(first: Floats, second: Floats) -> Floats:
    x, y = ((side - side.mean()) / side.std() for side in (first, second))
    return x * y - (x * y).mean() * (x**2 + y**2) / 2


def _spearman(first: Floats, second: Floats) -> Floats:
    """Influence through its own ranks, and through its effect on the ranks of other rows."""
    ranks = [mid_ranks(side) for side in (first, second)]
    x, y = (side - side.mean() for side in ranks)
    spreads = float(x.std()), float(y.std())
    product = x * y + _of_those_above(ranks[0], y) + _of_those_above(ranks[1], x)
    squares = [
        (side**2 + 2 * _of_those_above(rank, side)) / spread**2
        for rank, side, spread in zip(ranks, (x, y), spreads, strict=True)
    ]
    whole = spreads[0] * spreads[1]
    influence = product / whole - (x * y).mean() / whole / 2 * (squares[0] + squares[1])
    return influence - influence.mean()


def mid_ranks(values: Floats) -> Floats:
    """Ranks as a share of the rows, from 0 to 1; ties share the mean."""
    from scipy.stats import rankdata  # 0.5 s, which a comparison of shares need not pay

    return (rankdata(values) - 0.5) / len(values)


def _of_those_above(ranks: Floats, others: Floats) -> Floats:
    """Mean over all rows of [rank above its own] * other, half for ties, of each row: (N,)."""
    _, group = np.unique(ranks, return_inverse=True)
    sums = np.bincount(group, weights=others)
    return ((sums.sum() - np.cumsum(sums) + sums / 2) / len(ranks))[group]
