"""Calibration on dev: whether predictions with a confidence of 90 % are right nine times in ten.

    ECE = sum over bins of (rows in the bin / rows) |share right - mean confidence|      (Guo et al. 2017)

of the answer's probability, in bins of equal count (2 to 10, of `ROWS_IN_A_BIN` rows or more). Chance alone makes it large
on few rows: a model that is calibrated perfectly has one above 0, which is given beside it. That bias is why the interval
is no plain bootstrap: see `_ends`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from kinds import Floats
from reporting.statistics import FEWEST_ROWS, Interval, share_interval
from seeds import numpy_generator

FEWEST_BINS, MOST_BINS, ROWS_IN_A_BIN = 2, 10, 50
RESAMPLES = 400
BLOCK = 4_000_000
"""Random numbers held in memory at a time."""
METHOD = (
    "bootstrap over rows; the lower end is moved by twice the bootstrap's bias, and is 0 where a perfectly calibrated "
    "model would show as much"
)


@dataclass(frozen=True)
class Bin:
    """Rows of similar confidence."""

    confidence: float
    """Mean confidence."""
    right: Interval
    """Accuracy of the rows, with Wilson's interval."""


@dataclass(frozen=True)
class Calibration:
    """One model on the dev rows."""

    ece: Interval
    by_chance: float
    """Mean ECE of a perfectly calibrated model with these confidences and as many rows."""
    confidence: float
    """Mean probability of the predictions."""
    right: float
    """Share of right predictions."""
    bins: list[Bin]


def calibrate(logits: Floats, labels: NDArray[np.generic], level: float, name: str = "") -> Calibration:
    """Calibrate logits (N, C) of class numbers (N,); `name` seeds the draws."""
    said = softmax(logits, axis=1)
    sure, right = said.max(axis=1), (said.argmax(axis=1) == labels).astype(np.float64)
    count = int(np.clip(len(sure) // ROWS_IN_A_BIN, FEWEST_BINS, MOST_BINS))
    place = np.empty(len(sure), dtype=np.int64)
    place[np.argsort(sure, kind="stable")] = np.arange(len(sure)) * count // len(sure)
    members = np.eye(count)[place]
    found = float(_ece(np.ones((1, len(sure))), right - sure, members)[0])
    generator = numpy_generator(0, "calibration", name)
    by_chance = _calibrated(sure, members, generator)
    low, high = _ends(found, right - sure, members, by_chance, level, generator)
    return Calibration(
        ece=Interval(found, low, high, level, len(sure), 1, METHOD),
        by_chance=float(by_chance.mean()),
        confidence=float(sure.mean()),
        right=float(right.mean()),
        bins=[
            Bin(float(sure[own].mean()), share_interval(int(right[own].sum()), int(own.sum()), level))
            for own in (place == number for number in range(count))
            if own.any()
        ],
    )


def _ece(weights: Floats, gaps: Floats, members: Floats) -> Floats:
    """Weights (R, N), gaps right - confidence (N,), bins (N, B) -> (R,)."""
    return np.abs(weights @ (gaps[:, None] * members)).sum(axis=1) / len(gaps)


def _calibrated(sure: Floats, members: Floats, generator: np.random.Generator) -> Floats:
    """ECE of perfectly calibrated models (RESAMPLES,)."""
    found = [
        np.abs(((generator.random((size, len(sure))) < sure) - sure) @ members).sum(axis=1) / len(sure)
        for size in _blocks(len(sure))
    ]
    return np.concatenate(found)


def _ends(
    found: float, gaps: Floats, members: Floats, by_chance: Floats, level: float, generator: np.random.Generator
) -> tuple[float | None, float | None]:
    """The bootstrap interval, corrected for the bias that resampling adds."""
    rows = len(gaps)
    if rows < FEWEST_ROWS:
        return None, None
    shares = np.full(rows, 1 / rows)
    drawn = np.concatenate(
        [
            _ece(generator.multinomial(rows, shares, size=size).astype(np.float64), gaps, members)
            for size in _blocks(rows)
        ]
    )
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    if found <= np.quantile(by_chance, (1 + level) / 2):
        return 0.0, float(high)
    return max(0.0, float(low - 2 * (drawn.mean() - found))), float(high)


def _blocks(rows: int) -> list[int]:
    """Numbers of resamples drawn at a time; RESAMPLES in all."""
    size = max(1, min(RESAMPLES, BLOCK // rows))
    return [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
