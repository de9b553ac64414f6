"""Spread over seeds, and paired bootstrap intervals of the difference between two models on the same rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seeds import numpy_generator
from training.running.metrics import Floats, row_mean

# score(predictions (N, ...), weights (R, N)) -> (R,): a metric of R weighted copies of the same rows.
Score = Callable[[NDArray[np.generic], Floats], Floats]

RESAMPLES = 2000
LEVEL = 0.95
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
    """A difference with its percentile interval: `level` of the resamples lie within `low` and `high`."""

    difference: float
    low: float
    high: float
    level: float
    rows: int
    resamples: int


def mean_sd(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of the values; raises ValueError if there are none."""
    if not values:
        raise ValueError("mean and standard deviation of no values: at least one seed is needed")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


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
    resamples = len(bootstrap.samples)
    return Interval(bootstrap.difference, float(low), float(high), level, bootstrap.rows, resamples)


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
