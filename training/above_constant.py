"""Interval of a model's metric minus that of the constant answer (majority class or mean label), on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinds import KINDS, LOWER_IS_BETTER, Array, Kind
from metrics import weighted_metric
from seeds import numpy_generator

LEVEL = 0.95
DRAWS = 1000
ROWS_AT_ONCE = 2_000_000
"""Weights of draws x rows that are held in memory at once."""
GUESSABLE = ("f1", "macro_f1")
"""A guess has a higher one than a constant answer: Matthews' coefficient is asked, too, which is 0 for both."""


@dataclass(frozen=True)
class Gain:
    """Difference of a metric, more being better, with its interval at LEVEL."""

    metric: str
    difference: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """True if the interval holds 0 or lies below it."""
        return self.low <= 0


def gains_over_constant(metric: str, kind: Kind, labels: Array, logits: Array) -> list[Gain]:
    """Gain in the primary metric over the constant of these labels, and for F1 also Matthews' coefficient.

    Args:
        labels: (N,)
        logits: (N, C)

    The interval is the paired percentile bootstrap's over rows (numpy alone: the stages that train have no scipy). The
    gate's tests on dev are stricter: reporting/verdict.
    """
    constant = KINDS[kind].constant_logits(KINDS[kind].constant(labels), logits.shape)
    metrics = (metric, "matthews") if metric in GUESSABLE else (metric,)
    return [_gain(name, kind, labels, (logits, constant)) for name in metrics]


def _gain(metric: str, kind: Kind, labels: Array, sides: Sequence[Array]) -> Gain:
    sign, rows = -1.0 if metric in LOWER_IS_BETTER else 1.0, len(labels)
    draw = numpy_generator(0, "above the constant", metric)

    def differences(weights: np.ndarray) -> np.ndarray:
        own, other = (weighted_metric(metric, logits, labels, kind, weights) for logits in sides)
        return sign * (own - other)

    at_once = max(1, ROWS_AT_ONCE // rows)
    counts = [min(at_once, DRAWS - first) for first in range(0, DRAWS, at_once)]
    shares = np.full(rows, 1 / rows)
    drawn = [differences(draw.multinomial(rows, shares, size=count).astype(np.float64)) for count in counts]
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Gain(metric, float(differences(np.ones((1, rows)))[0]), float(low), float(high))
