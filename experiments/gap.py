"""Share of the gap between fine-tuned student and teacher that a method closes, with an interval over rows and seeds.

    share = (student - fine-tuned) / (teacher - fine-tuned)

The interval is Fieller's (1954): all shares s for which (student - fine-tuned) - s (teacher - fine-tuned) is not told from 0.
Squared half-widths of the report's paired intervals stand in for variances; that of student - teacher gives the covariance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kinds import Array, Kind
from reporting.statistics import Interval, paired_interval

HALF = 0.5


@dataclass(frozen=True)
class GapClosed:
    """One method on one dataset; differences are fractions of the metric."""

    gain: Interval
    """Student minus fine-tuned."""
    gap: Interval
    """Teacher minus fine-tuned."""
    share: float | None
    """None where the gap is not told from 0, or is below it."""
    low: float | None
    high: float | None

    @property
    def has_gap(self) -> bool:
        """True if the teacher is above the fine-tuned student, by an interval off 0."""
        return is_above(self.gap)

    @property
    def closes_half(self) -> bool:
        """True if half of the gap is closed or more, by a gain whose interval is off 0."""
        return self.share is not None and self.share >= HALF and is_above(self.gain)

    @property
    def rows_needed(self) -> int | None:
        """Rows from which on the interval of a gain of this size would be off 0; None without a gain."""
        return rows_needed(self.gain)


def gap_closed(
    metric: str,
    kind: Kind,
    labels: Array,
    students: Sequence[Array],
    finetuned: Sequence[Array],
    teachers: Sequence[Array],
    level: float,
) -> GapClosed:
    """The share of the gap that is closed on N rows; logits (N, C), one array a training seed, in one order of seeds."""
    gain = paired_interval(metric, kind, labels, students, finetuned, level)
    gap = paired_interval(metric, kind, labels, teachers, finetuned, level)
    rest = paired_interval(metric, kind, labels, students, teachers, level)
    if not is_above(gap):
        return GapClosed(gain, gap, None, None, None)
    share = gain.difference / gap.difference
    bounds = _fieller((gain.difference, gap.difference), (_half(gain), _half(gap), _half(rest)))
    return GapClosed(gain, gap, share, *(bounds or (None, None)))


def is_above(interval: Interval) -> bool:
    """Return whether an interval lies above 0."""
    return interval.low is not None and interval.low > 0


def rows_needed(interval: Interval) -> int | None:
    """Rows like these, with as many seeds, from which on the interval of a difference of this size would be off 0.

    Widths fall with the root of the rows. None for a difference that is not above 0.
    """
    low, difference = interval.low, interval.difference
    if low is None or difference <= 0:
        return None
    return max(interval.rows, math.ceil(interval.rows * ((difference - low) / difference) ** 2))


def _half(interval: Interval) -> float:
    return 0.0 if interval.low is None or interval.high is None else (interval.high - interval.low) / 2


def _fieller(differences: tuple[float, float], halves: tuple[float, float, float]) -> tuple[float, float] | None:
    """Roots of (b s - a)^2 = h(s)^2 in s; None where they enclose no interval: a gap too near 0.

    Args:
        differences: gain a and gap b.
        halves: half-widths of gain, gap, and student minus teacher.
    """
    (a, b), (of_gain, of_gap, of_rest) = differences, halves
    both = (of_gain**2 + of_gap**2 - of_rest**2) / 2
    square, linear, constant = b**2 - of_gap**2, a * b - both, a**2 - of_gain**2
    inside = linear**2 - square * constant
    if square <= 0 or inside < 0:
        return None
    root = math.sqrt(inside)
    return (linear - root) / square, (linear + root) / square
