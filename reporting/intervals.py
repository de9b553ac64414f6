"""Bounds of shares and of differences of shares, and the combination of variance over seeds and over rows."""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri, stdtrit

from kinds import Floats

Bounds = tuple[float, float]
NEAR = 1e-9
STRAIGHT = 1e-6


def normal_quantile(level: float) -> float:
    """Half-width in standard errors of a two-sided interval."""
    return float(ndtri((1 + level) / 2))


def t_quantile(level: float, df: float) -> float:
    """The same for Student's t."""
    return float(stdtrit(df, (1 + level) / 2))


def wilson(share: float, count: float, level: float) -> Bounds:
    """Wilson's score interval of a share of `count` rows; scipy's accepts whole numbers of rows only."""
    z = normal_quantile(level)
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def none_of(count: float, level: float) -> float:
    """The exact two-sided bound (Clopper and Pearson) of a share with no occurrence in `count` rows."""
    return 1 - ((1 - level) / 2) ** (1 / count)


def tango(more: float, fewer: float, count: float, level: float) -> Bounds:
    """Tango's (1998) score interval of a difference of paired shares; the exact bound if no row differs.

    more, fewer: share of the rows that only the first, or only the second, has right.
    """
    if more + fewer == 0:
        return -none_of(count, level), none_of(count, level)
    difference, z = more - fewer, normal_quantile(level)

    def beyond(delta: float, side: float) -> float:
        """Return the distance of the difference from `delta`, in standard errors under delta, less z."""
        # The most likely share of `fewer` under delta solves 2 q^2 + b q - fewer * delta * (1 - delta) = 0.
        b = (2 - more + fewer) * delta - (more + fewer)
        own = (math.sqrt(max(0.0, b * b + 8 * fewer * delta * (1 - delta))) - b) / 4
        variance = max(0.0, (2 * own + delta * (1 - delta)) / count)
        return side * (difference - delta) - z * math.sqrt(variance)

    low, high = max(-1.0, difference - NEAR), min(1.0, difference + NEAR)  # at 1 and -1 is a root that is no bound
    return _root(lambda x: beyond(x, 1), -1.0, low), _root(lambda x: beyond(x, -1), high, 1.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the zero crossing of the function; the end nearest to 0 if there is none."""
    from scipy.optimize import brentq  # 0.5 s, which stages that compare no shares need not pay

    ends = function(low), function(high)
    if ends[0] * ends[1] > 0 or low == high:
        return low if abs(ends[0]) < abs(ends[1]) else high
    return float(brentq(function, low, high, xtol=1e-10))


def hall(centre: float, parts: Floats, level: float) -> Bounds:
    """Interval of a mean of parts (N,) about `centre`: Student's t, or Hall's (1992) on the side of the skewness.

    Three degrees of freedom are taken off, and the variance has two more rows, as heavy as the heaviest, either way.
    """
    rows = len(parts)
    squares, heaviest = float((parts**2).sum()), float(np.abs(parts).max())
    if not squares:
        return centre, centre
    skewness = float((parts**3).mean()) / (squares / (rows - 3)) ** 1.5
    error = math.sqrt((squares + 2 * heaviest**2) / (rows - 3) / rows)

    def transformed(t: float) -> float:
        bend, root = skewness / 3, math.sqrt(rows)
        if abs(bend) < STRAIGHT:
            return t
        return root / bend * (float(np.cbrt(1 + 3 * bend * (t / root - skewness / (6 * rows)))) - 1)

    t = t_quantile(level, rows - 2)
    return centre - error * max(t, transformed(t)), centre + error * max(t, -transformed(-t))


def common_share(parts: Floats, weights: Floats) -> float:
    """Share of the row variance of a mean over seeds that all seeds have in common: parts (S, N).

    Two-way analysis of variance with one value a cell: what a row does in all seeds, against what it does in one.
    """
    seeds = len(parts)
    mean = parts.mean(axis=0)
    whole = seeds * float((weights * mean**2).sum())
    left = float((weights * (parts - mean) ** 2).sum()) / max(1, seeds - 1)
    return max(0.0, 1 - left / whole) if whole else 1.0


def over_seeds(difference: float, bounds: Bounds, by_seed: Floats, own: float, level: float) -> Bounds:
    """Widen an interval over rows by the variance of training; `by_seed` has each seed's difference (S,).

    The variance of a mean over S seeds is that of the rows' own part (what all seeds have in common) and, independent
    of it, the variance between seeds over S, which holds the rows' chance within a seed. The squares of both half-widths
    are added, each with its own quantile: never too short (Banerjee, 1961). `own` is the share of the interval's
    variance that is common to the seeds. It never gets narrower than the interval over rows.
    """
    count = len(by_seed)
    if count == 1:
        return bounds
    training = t_quantile(level, count - 1) ** 2 * float(np.var(by_seed, ddof=1)) / count
    low, high = difference - bounds[0], bounds[1] - difference
    wide = [max(half, math.sqrt(own * half**2 + training)) for half in (low, high)]
    return difference - wide[0], difference + wide[1]
