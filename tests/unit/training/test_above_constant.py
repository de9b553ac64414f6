"""The interval of a teacher's gain over the constant answer tells learning from noise, for every kind of metric."""

import numpy as np
import pytest

from reporting.statistics import paired_interval
from training.above_constant import gains_over_constant

ROWS = 400


def classes(right: float, seed: int, majority: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and logits that say the true class on a share of the rows."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(ROWS) < majority).astype(np.int64)
    said = np.where(draw.random(ROWS) < right, labels, 1 - labels)
    return labels, np.eye(2)[said]


def noise(metric: str, right: float, majority: float = 0.5) -> list[bool]:
    """For 12 teachers: within noise of the constant?"""
    found = [gains_over_constant(metric, "single", *classes(right, seed, majority)) for seed in range(12)]
    return [any(gain.is_noise for gain in gains) for gains in found]


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews"])
def test_a_teacher_that_guesses_is_within_noise_and_one_that_knows_is_not(metric: str) -> None:
    assert sum(noise(metric, right=0.5)) >= 10
    assert sum(noise(metric, right=0.85)) == 0


def test_matthews_is_found_where_accuracy_is_the_majoritys() -> None:
    labels, logits = classes(0.75, seed=3, majority=0.75)
    (matthews,) = gains_over_constant("matthews", "single", labels, logits)
    (accuracy,) = gains_over_constant("accuracy", "single", labels, logits)
    assert matthews.low > 0.2 and accuracy.is_noise


def test_a_guess_with_a_higher_f1_than_the_constants_is_within_noise() -> None:
    labels, logits = classes(0.5, seed=1, majority=0.45)  # the constant answers 0, whose F1 is 0
    f1, matthews = gains_over_constant("f1", "single", labels, logits)
    assert f1.low > 0.3 and matthews.is_noise


@pytest.mark.parametrize("metric", ["pearson", "spearman", "mse"])
def test_a_regression_is_held_against_the_mean_label(metric: str) -> None:
    draw = np.random.default_rng(1)
    labels = draw.normal(3, 1, ROWS)
    (knows,) = gains_over_constant(metric, "regression", labels, (labels + draw.normal(0, 0.5, ROWS))[:, None])
    (guesses,) = gains_over_constant(metric, "regression", labels, draw.normal(3, 1, ROWS)[:, None])
    assert not knows.is_noise and guesses.is_noise


def test_the_interval_is_near_the_reports() -> None:
    labels, logits = classes(0.6, seed=2)
    (gain,) = gains_over_constant("accuracy", "single", labels, logits)
    constant = np.eye(2)[np.full(ROWS, np.bincount(labels).argmax())]
    report = paired_interval("accuracy", "single", labels, [logits], [constant], 0.95)
    assert gain.difference == pytest.approx(report.difference)
    assert (gain.low, gain.high) == pytest.approx((report.low, report.high), abs=0.01)
