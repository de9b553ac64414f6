"""Spread over seeds, and paired bootstrap intervals of the difference between two models on the same rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.running.records import Kind
from seeds import numpy_generator
from training.influence import row_parts
from training.intervals import Bounds, none_of, over_seeds, t_quantile, tango, wilson
from training.running.metrics import LOWER_IS_BETTER, Floats, row_mean

# score(predictions (N, ...), weights (R, N)) -> (R,): a metric of R weighted copies of the same rows.
Score = Callable[[NDArray[np.generic], Floats], Floats]

FEWEST_ROWS = 20
TOO_FEW = f"too few rows: no interval (fewer than {FEWEST_ROWS})"
RESAMPLES = 2000
LEVEL = 0.95
SHARES = ("accuracy", "f1", "macro_f1")
# Resamples are drawn in blocks of about this many weights: 32 MB.
BLOCK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of `count` values; `sd` is None for a single value."""

    mean: float
    sd: float | None
    count: int


@dataclass(frozen=True)
class Bootstrap:
    """The measured difference, student minus teacher, and what it was in each resample of the rows (n,)."""

    difference: float
    samples: Floats
    rows: int


@dataclass(frozen=True)
class Interval:
    """A difference, or one score, with the interval of what it is over all rows and, from two seeds on, over all seeds."""

    difference: float
    low: float | None
    """None, with `high`: too few rows to give one."""
    high: float | None
    level: float
    """A fraction."""
    rows: int
    seeds: int
    method: str
    """How it was made, in words."""


def mean_sd(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of the values; raises ValueError if there are none."""
    if not values:
        raise ValueError("mean and standard deviation of no values: at least one seed is needed")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


def paired_interval(
    metric: str,
    kind: Kind,
    labels: NDArray[np.generic],
    students: Sequence[NDArray[np.generic]],
    teachers: Sequence[NDArray[np.generic]],
    level: float,
) -> Interval:
    """A metric of the students minus that of the teachers on the same rows, with its interval.

    labels (N,); students, teachers: logits (N, C), one array a training seed, in the same order of seeds. A single teacher
    stands for that of every seed. The interval is of the mean over all rows like these and, from two seeds on, over all
    seeds; of one seed it says nothing about another.
    """
    sides = [[row_parts(metric, kind, labels, logits) for logits in side] for side in _paired(students, teachers)]
    by_seed = np.array([own.score - other.score for own, other in zip(*sides, strict=True)])
    parts = np.array([own.rows - other.rows for own, other in zip(*sides, strict=True)])
    limit = None if metric in LOWER_IS_BETTER else 1.0 if metric in SHARES else 2.0
    return _interval(by_seed, parts, level, share=metric == "accuracy", limits=limit and (-limit, limit))


def paired_mean_interval(
    students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]], level: float
) -> Interval:
    """The mean of row values (N,) of the students minus that of the teachers, one array a seed; see `paired_interval`."""
    pairs = list(zip(*_paired(students, teachers), strict=True))
    parts = np.array([own.astype(np.float64) - other.astype(np.float64) for own, other in pairs])
    return _interval(parts.mean(axis=1), parts, level, share=False, limits=None)


def score_interval(
    metric: str, kind: Kind, labels: NDArray[np.generic], predictions: Sequence[NDArray[np.generic]], level: float
) -> Interval:
    """One model's own metric, with its interval: labels (N,), logits (N, C), one array a seed."""
    each = [row_parts(metric, kind, labels, logits) for logits in predictions]
    limits = None if metric in LOWER_IS_BETTER else (0.0, 1.0) if metric in SHARES else (-1.0, 1.0)
    by_seed, parts = np.array([one.score for one in each]), np.array([one.rows for one in each])
    return _interval(by_seed, parts, level, share=False, limits=limits)


def mean_interval(parts: Sequence[Interval], level: float) -> Interval:
    """The mean over datasets, whose intervals are independent (MOVER); without bounds where one of them has none."""
    if not parts:
        raise ValueError("the mean difference of no datasets: at least one is needed")
    mean, rows = float(np.mean([part.difference for part in parts])), sum(part.rows for part in parts)
    seeds = min(part.seeds for part in parts)
    low, high = 0.0, 0.0
    for part in parts:
        if part.low is None or part.high is None:
            return Interval(mean, None, None, level, rows, seeds, f"no interval: a dataset has none ({part.method})")
        low, high = low + (part.difference - part.low) ** 2, high + (part.high - part.difference) ** 2
    half = np.sqrt([low, high]) / len(parts)
    return Interval(mean, mean - float(half[0]), mean + float(half[1]), level, rows, seeds, "MOVER over datasets")


def share_interval(count: int, of: int, level: float) -> Interval:
    """A share of rows with Wilson's interval, e.g. the recall of a class; without bounds for no rows at all."""
    if not of:
        return Interval(0.0, None, None, level, 0, 1, "no rows")
    low, high = wilson(count / of, of, level)
    return Interval(count / of, low, high, level, of, 1, "Wilson's score interval")


def _interval(by_seed: Floats, parts: Floats, level: float, *, share: bool, limits: Bounds | None) -> Interval:
    """From the difference of each seed (S,) and its rows' parts in it (S, N)."""
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is a fraction between 0 and 1, got {level}")
    seeds, rows = parts.shape
    difference = float(by_seed.mean())
    if rows < FEWEST_ROWS:
        return Interval(difference, None, None, level, rows, seeds, TOO_FEW)
    mean = parts.mean(axis=0)
    single, common = float(parts.var(axis=1).mean()), float(mean.var())
    if share:
        counted = rows if not common else rows * min(seeds, max(1.0, single / common))
        more, fewer = float((parts > 0).mean()), float((parts < 0).mean())
        bounds, method = tango(more, fewer, counted, level), "score interval of paired shares (Tango, 1998)"
    else:
        half = t_quantile(level, rows - 1) * float(mean.std(ddof=1)) / np.sqrt(rows)
        if limits:
            half = max(half, none_of(rows, level))
        bounds, method = (difference - half, difference + half), "linearisation with Student's t"
    own = _common_share(parts)
    low, high = map(float, over_seeds(difference, bounds, by_seed, own, level))
    if limits:
        low, high = max(low, limits[0]), min(high, limits[1])
    method += "" if seeds == 1 else f", rows and {seeds} seeds"
    return Interval(difference, low, high, level, rows, seeds, method)


def _common_share(parts: Floats) -> float:
    """Of the variance that the rows give to a mean over seeds, the share that all seeds have in common."""
    seeds, rows = parts.shape
    if seeds == 1:
        return 1.0
    centred = parts - parts.mean(axis=1, keepdims=True)
    mean = centred.mean(axis=0)
    of_mean = seeds * float((mean**2).sum()) / (rows - 1)
    left = float(((centred - mean) ** 2).sum()) / ((rows - 1) * (seeds - 1))
    return max(0.0, 1 - left / of_mean) if of_mean else 1.0


def _paired(
    students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]]
) -> tuple[Sequence[NDArray[np.generic]], Sequence[NDArray[np.generic]]]:
    """Both sides, one array a seed each; raises ValueError unless they are of the same rows and seeds."""
    _same_rows(students, teachers)
    if len(teachers) == 1:
        teachers = [*teachers] * len(students)
    if len(students) != len(teachers):
        raise ValueError(f"{len(students)} seeds of students can't be paired with {len(teachers)} of teachers")
    return students, teachers


def paired_bootstrap(
    score: Score,
    students: Sequence[NDArray[np.generic]],
    teachers: Sequence[NDArray[np.generic]],
    *,
    n: int = RESAMPLES,
    seed: int = 0,
) -> Bootstrap:
    """Resample the rows n times and take score(student) - score(teacher) in each (Efron's paired bootstrap).

    students, teachers: predictions (N, ...) of the same N rows in the same order, one array a training seed.
    Each resample is drawn once and shared by all of them; the difference is that of the means over seeds. So
    the interval holds the chance of the rows, not that of training: that is the spread over seeds.
    """
    rows = _same_rows(students, teachers)
    generator = numpy_generator(seed, "bootstrap")
    samples = [_difference(score, students, teachers, counts) for counts in _resamples(rows, n, generator)]
    difference = _difference(score, students, teachers, np.ones((1, rows)))
    return Bootstrap(float(difference[0]), np.concatenate(samples), rows)


def mean_bootstrap(parts: Sequence[Bootstrap]) -> Bootstrap:
    """The mean difference over datasets. Their rows were drawn apart (use another seed for each dataset)."""
    if not parts:
        raise ValueError("the mean difference of no datasets: at least one is needed")
    samples = np.mean([part.samples for part in parts], axis=0)
    return Bootstrap(float(np.mean([part.difference for part in parts])), samples, sum(p.rows for p in parts))


def interval(bootstrap: Bootstrap, level: float = LEVEL) -> Interval:
    """Percentile interval of a bootstrap; `level` is a fraction, e.g. 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval is a fraction between 0 and 1, got {level}")
    low, high = np.quantile(bootstrap.samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(bootstrap.difference, float(low), float(high), level, bootstrap.rows, 1, "bootstrap")


def mean_score(values: NDArray[np.generic], weights: Floats) -> Floats:
    """The `Score` of a metric that is a mean over rows: values (N,), weights (R, N) -> (R,)."""
    return row_mean(values.astype(np.float64), weights)


def _difference(
    score: Score,
    students: Sequence[NDArray[np.generic]],
    teachers: Sequence[NDArray[np.generic]],
    weights: Floats,
) -> Floats:
    """Mean score of the students minus that of the teachers, for weights (R, N) -> (R,)."""
    student = np.mean([score(predictions, weights) for predictions in students], axis=0)
    return student - np.mean([score(predictions, weights) for predictions in teachers], axis=0)


def _resamples(rows: int, n: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Blocks (r, rows) of how often each row was drawn in resamples of `rows` rows with replacement; n in all."""
    block = max(1, min(n, BLOCK_ELEMENTS // rows))
    for start in range(0, n, block):
        size = min(block, n - start)
        drawn = generator.integers(0, rows, size=(size, rows)) + np.arange(size)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def _same_rows(students: Sequence[NDArray[np.generic]], teachers: Sequence[NDArray[np.generic]]) -> int:
    """The number of rows that all predictions have; raises ValueError if they differ or there are none."""
    lengths = {len(predictions) for predictions in (*students, *teachers)}
    if not students or not teachers or len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"a paired bootstrap needs predictions of the same rows by student and teacher; got {len(students)} and "
            f"{len(teachers)} predictions of {sorted(lengths)} rows"
        )
    return lengths.pop()
