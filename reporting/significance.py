"""Tests of differences between methods over datasets: Friedman, Nemenyi's critical difference, Wilcoxon with Holm.

The tests that Demsar (2006, "Statistical comparisons of classifiers over multiple data sets") recommends. A dataset is one
observation, whatever its size. With the handful of datasets of a benchmark the usual chi-square and normal
approximations are poor, so p-values come from permutations: exact, or drawn with a fixed seed.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kinds import Floats
from seeds import numpy_generator

FEWEST_DATASETS = 3
FEWEST_METHODS = 3
# Below this many datasets all 2^N signs are tried; above, the normal approximation is good to the third digit.
EXACT_UP_TO = 15
PERMUTATIONS = 20_000


@dataclass(frozen=True)
class Friedman:
    """Friedman's statistic corrected for ties, and the share of permutations that reach it."""

    statistic: float
    p: float
    datasets: int
    methods: int


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of `count` pairs, and the share of permutations with at least this |r|."""

    r: float
    p: float
    count: int


def ranks(values: Sequence[float] | Floats) -> Floats:
    """Ranks from 1 for the highest value; ties share the mean of their ranks. (K,) -> (K,)"""
    return stats.rankdata(-np.asarray(values, dtype=np.float64))


def average_ranks(scores: Floats) -> Floats:
    """Mean rank of each method over datasets: scores (N, K), higher is better -> (K,)."""
    return np.mean([ranks(row) for row in scores], axis=0)


def friedman(scores: Floats) -> Friedman:
    """Friedman's test of scores (N, K) of K methods on N datasets; p from permutations within each dataset.

    Raises ValueError under FEWEST_DATASETS datasets or FEWEST_METHODS methods.
    """
    count, methods = scores.shape
    if count < FEWEST_DATASETS or methods < FEWEST_METHODS:
        raise ValueError(
            f"Friedman's test needs {FEWEST_DATASETS} datasets and {FEWEST_METHODS} methods at least, got {count} and {methods}"
        )
    table = np.array([ranks(row) for row in scores])
    if not np.ptp(table):  # every method ties everywhere
        return Friedman(0.0, 1.0, count, methods)
    measured = _between(table)
    shuffled = np.repeat(table[None], PERMUTATIONS, axis=0)
    drawn = _between(numpy_generator(0, "Friedman").permuted(shuffled, axis=2))
    reached = int((drawn >= measured - 1e-9).sum())
    p = (reached + 1) / (PERMUTATIONS + 1)
    return Friedman(float(stats.friedmanchisquare(*scores.T).statistic), p, count, methods)


def _between(table: Floats) -> Floats:
    """Sum over methods of the squared distance of the mean rank from its expectation: (..., N, K) -> (...)."""
    return ((table.mean(axis=-2) - (table.shape[-1] + 1) / 2) ** 2).sum(axis=-1)


def critical_difference(methods: int, datasets: int, level: float = 0.95) -> float:
    """Nemenyi's critical difference of two average ranks at the level."""
    widest = float(stats.studentized_range.ppf(level, methods, np.inf))
    return widest / math.sqrt(2) * math.sqrt(methods * (methods + 1) / (6 * datasets))


def wilcoxon(differences: Sequence[float] | Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; differences of 0 are left out (Wilcoxon's own rule).

    Exact over all signs, also with ties, up to EXACT_UP_TO differences. 1.0 if there are none.
    """
    given = np.array([value for value in differences if value != 0], dtype=np.float64)
    if not len(given):
        return 1.0
    sizes = ranks(-np.abs(given))
    middle = sizes.sum() / 2
    distance = abs(sizes[given > 0].sum() - middle)
    if len(given) > EXACT_UP_TO:
        return float(stats.wilcoxon(given, method="asymptotic", correction=False).pvalue)
    # All signs at once: scipy's exact method takes no ties, and its permutations take 11 s for 15 differences.
    signs = np.array(list(itertools.product((0.0, 1.0), repeat=len(given))))
    return float((np.abs(signs @ sizes - middle) >= distance - 1e-9).mean())


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction: bounds the chance of any false finding among all p-values."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def correlate(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> Correlation | None:
    """Pearson's correlation of pairs; None for fewer than 3 pairs, or if one side is constant."""
    x, y = (np.asarray(side, dtype=np.float64) for side in (first, second))
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    x, y = ((side - side.mean()) / np.sqrt(((side - side.mean()) ** 2).sum()) for side in (x, y))
    r = float(x @ y)
    shuffled = numpy_generator(seed, "correlation").permuted(np.repeat(y[None], PERMUTATIONS, axis=0), axis=1)
    reached = int((np.abs(shuffled @ x) >= abs(r) - 1e-9).sum())
    return Correlation(r, (reached + 1) / (PERMUTATIONS + 1), len(x))
