"""Metrics of predictions in numpy, for one set of rows or for many weighted copies of it at once.

Every metric is written for weights (R, N): R copies of the same N rows, in which row i counts weights[r, i]
times. One copy with weights of one is the plain metric; the counts of R resamples give R metrics by
a few matrix products, also for metrics that are no mean over rows (F1, Matthews, Pearson, Spearman).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from errors import UserError
from kinds import KINDS, TASK_LOSS, Floats, Kind

# A variance this small beside the mean square is rounding: such predictions count as constant.
CONSTANT = 1e-12


def compute_metrics(
    names: Sequence[str], logits: NDArray[np.generic], labels: NDArray[np.generic], kind: Kind
) -> dict[str, float]:
    """Each metric of `names` over all rows: logits (N, C), labels (N,) class numbers, or floats for regression.

    Where a metric has no value it is 0.0, by one rule: Matthews, Pearson and Spearman of constant predictions
    or constant labels, and F1 of a class that is neither predicted nor present. Macro-F1 leaves such classes out.
    Raises UserError on NaN or infinite logits, shapes or labels that don't fit, and metrics the kind hasn't.
    """
    ones = np.ones((1, len(labels)))
    return {name: float(weighted_metric(name, logits, labels, kind, ones)[0]) for name in names}


def weighted_metric(
    name: str,
    logits: NDArray[np.generic],
    labels: NDArray[np.generic],
    kind: Kind,
    weights: Floats,
) -> Floats:
    """The metric of R weighted copies of the rows: logits (N, C), labels (N,), weights (R, N) -> (R,)."""
    check_rows(logits, labels, kind)
    allowed = ("loss", *KINDS[kind].metrics)
    if name not in allowed:
        raise UserError(f"metric {name!r} does not exist for a {kind} dataset; allowed: {', '.join(allowed)}")
    if name in TASK_LOSS:
        return row_mean(row_losses(logits, labels, kind), weights)
    if KINDS[kind].has_classes:
        return class_metric(name, confusion(logits, labels, weights))
    return _correlation(name, logits[:, 0].astype(np.float64), labels.astype(np.float64), weights)


def row_losses(logits: NDArray[np.generic], labels: NDArray[np.generic], kind: Kind) -> Floats:
    """Task loss of each row (N,). Raises UserError as `compute_metrics` does."""
    check_rows(logits, labels, kind)
    return KINDS[kind].row_losses(logits, labels)


def row_mean(values: Floats, weights: Floats) -> Floats:
    """Weighted mean of values (N,) under weights (R, N) -> (R,)."""
    return (weights @ values) / weights.sum(axis=1)


def confusion(logits: NDArray[np.generic], labels: NDArray[np.generic], weights: Floats) -> Floats:
    """Counts by true class and predicted class: logits (N, C), labels (N,), weights (R, N) -> (R, C, C)."""
    classes = logits.shape[1]
    cells = labels.astype(np.int64) * classes + logits.argmax(axis=1)
    one_hot = np.zeros((len(cells), classes * classes))
    one_hot[np.arange(len(cells)), cells] = 1.0
    return (weights @ one_hot).reshape(len(weights), classes, classes)


def check_rows(logits: NDArray[np.generic], labels: NDArray[np.generic], kind: Kind) -> None:
    """Raise UserError unless logits are finite (N, C) and labels (N,) match them; N at least 1."""
    if logits.ndim != 2 or labels.ndim != 1 or len(logits) != len(labels) or len(labels) == 0:
        raise UserError(f"metrics need logits (N, C) and labels (N,), N > 0; got {logits.shape}, {labels.shape}")
    finite = np.isfinite(logits.astype(np.float64)).all(axis=1)
    if not finite.all():
        bad = int((~finite).argmax())
        raise UserError(
            f"logits of row {bad} are not finite ({logits[bad].tolist()}): the model has diverged; train it again with "
            "a lower learning rate"
        )
    if not KINDS[kind].has_classes:
        if logits.shape[1] != 1 or not np.isfinite(labels.astype(np.float64)).all():
            raise UserError(f"{kind} needs logits (N, 1) and finite labels; got {logits.shape}")
    elif labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise UserError(
            f"labels run from {labels.min()} to {labels.max()}, but {logits.shape[1]} logits allow 0 to "
            f"{logits.shape[1] - 1}; unlabelled rows (-1) have no metrics"
        )


def class_metric(name: str, counts: Floats) -> Floats:
    """A class metric from counts (R, C, C) by true and predicted class -> (R,)."""
    right, total = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
    if name == "accuracy":
        return right / total
    true, predicted = counts.sum(axis=2), counts.sum(axis=1)
    if name == "matthews":
        # Gorodkin's R_K, which is Matthews' coefficient for two classes.
        covariance = right * total - (true * predicted).sum(axis=1)
        spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (true**2).sum(axis=1))
        return _ratio(covariance, np.sqrt(spread))
    if name not in ("f1", "macro_f1"):
        raise UserError(f"metric {name!r} has no formula; add one to class_metric in metrics.py")
    diagonal = np.diagonal(counts, axis1=1, axis2=2)
    each = _ratio(2 * diagonal, true + predicted)
    if name == "f1":
        if counts.shape[1] != 2:
            raise UserError(f"metric f1 is for two classes, but there are {counts.shape[1]}; use macro_f1")
        return each[:, 1]
    return each.sum(axis=1) / ((true + predicted) > 0).sum(axis=1)


def _correlation(name: str, predictions: Floats, labels: Floats, weights: Floats) -> Floats:
    """Pearson, or Pearson of the ranks (Spearman): predictions (N,), labels (N,), weights (R, N) -> (R,)."""
    if name == "spearman":
        return _pearson(_ranks(predictions, weights), _ranks(labels, weights), weights)
    if name != "pearson":
        raise UserError(f"metric {name!r} has no formula; add one to _correlation in metrics.py")
    # Centred once over all rows, so that the moments below don't cancel.
    return _pearson(predictions - predictions.mean(), labels - labels.mean(), weights)


def _pearson(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Weighted correlation of two variables, (N,) or (R, N) each; 0.0 if one of them is constant."""
    share = weights / weights.sum(axis=1, keepdims=True)
    mean_first, mean_second = (share * first).sum(axis=1), (share * second).sum(axis=1)
    squares_first, squares_second = (share * first**2).sum(axis=1), (share * second**2).sum(axis=1)
    variance_first, variance_second = squares_first - mean_first**2, squares_second - mean_second**2
    covariance = (share * first * second).sum(axis=1) - mean_first * mean_second
    varied = (variance_first > CONSTANT * squares_first) & (variance_second > CONSTANT * squares_second)
    spread = np.sqrt(np.where(varied, variance_first * variance_second, 0.0))
    return np.clip(_ratio(covariance, spread), -1.0, 1.0)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Centred average ranks of the rows in each weighted copy: values (N,), weights (R, N) -> (R, N)."""
    order = np.argsort(values, kind="stable")
    _, starts, group = np.unique(values[order], return_index=True, return_inverse=True)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    below = np.cumsum(counts, axis=1) - counts
    rank = below + (counts + 1) / 2
    ranked = np.empty_like(weights)
    ranked[:, order] = rank[:, group]
    return ranked - (weights.sum(axis=1, keepdims=True) + 1) / 2


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, and 0.0 if below is 0."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)
