"""Scores and dev predictions of one dataset by column: the teacher, a method, or the meta-teacher."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from errors import UserError
from kinds import Floats, Kind
from metrics import weighted_metric
from reporting.evaluations import PairedPredictions
from reporting.gather import DatasetOutputs

DEV = "dev"
TEACHER = "teacher"
META_TEACHER = "meta_teacher"


def headlines(one: DatasetOutputs, column: str, seeds: Sequence[int], methods: Sequence[str]) -> list[float]:
    """A column's headline metric on dev, one value a seed; [] if the column does not exist."""
    return values_of(one, column, seeds, methods, DEV, one.metrics[0])


def values_of(
    one: DatasetOutputs, column: str, seeds: Sequence[int], methods: Sequence[str], rows: str, metric: str
) -> list[float]:
    """A column's metric on a set of rows, one value a seed; [] where it was not measured."""
    if column == META_TEACHER:
        scores = [one.meta_teacher.get(seed, {}).get(rows, {}) for seed in seeds]
    elif column == TEACHER:
        scores = [one.evaluations[methods[0], seed].metrics.scores.get(f"teacher_{rows}", {}) for seed in seeds]
    else:
        scores = [one.evaluations[column, seed].metrics.scores.get(rows, {}) for seed in seeds]
    return [score[metric] for score in scores if metric in score]


def dev_rows(one: DatasetOutputs, method: str, seed: int) -> PairedPredictions:
    """One evaluation's predictions on dev. Raises UserError if it has none."""
    predictions = one.evaluations[method, seed].predictions
    if DEV not in predictions:
        raise UserError(f"evaluate {one.name} {method} {seed}: predictions.parquet holds no dev rows")
    return predictions[DEV]


def score_rows(
    metric: str, labels: NDArray[np.generic], kind: Kind, logits: NDArray[np.generic], weights: Floats
) -> Floats:
    """The metric under weights (R, N) of logits (N, C) -> (R,), arguments in the order that `partial` needs."""
    return weighted_metric(metric, logits, labels, kind, weights)
