"""The paired bootstrap against a plain loop and against a known variance; means and deviations over seeds."""

from functools import partial

import numpy as np
import pytest

from seeds import numpy_generator
from training.running.metrics import Floats, compute_metrics, weighted_metric
from training.statistics import interval, mean_bootstrap, mean_score, mean_sd, paired_bootstrap


def matthews(labels: np.ndarray, logits: np.ndarray, weights: Floats) -> Floats:
    return weighted_metric("matthews", logits, labels, "single", weights)


def models(rows: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, rows)
    student, teacher = (generator.normal(size=(rows, 2)) + gain * np.eye(2)[labels] for gain in (0.7, 1.5))
    return labels, student, teacher


def test_one_seed_has_a_mean_and_no_deviation() -> None:
    assert mean_sd([0.5]).sd is None
    assert mean_sd([0.5]).count == 1


def test_the_deviation_over_seeds_divides_by_one_less_than_their_number() -> None:
    spread = mean_sd([1.0, 2.0, 4.0])
    assert spread.mean == pytest.approx(7 / 3)
    assert spread.sd == pytest.approx(np.std([1, 2, 4], ddof=1))
    with pytest.raises(ValueError, match="at least one seed"):
        mean_sd([])


def test_a_bootstrap_of_matthews_equals_a_loop_that_repeats_rows() -> None:
    labels, student, teacher = models(rows=20)
    result = paired_bootstrap(partial(matthews, labels), [student], [teacher], n=40, seed=3)
    drawn = numpy_generator(3, "bootstrap").integers(0, 20, size=(40, 20))
    for sample, rows in zip(result.samples, drawn, strict=True):
        scores = [compute_metrics(["matthews"], z[rows], labels[rows], "single") for z in (student, teacher)]
        assert sample == pytest.approx(scores[0]["matthews"] - scores[1]["matthews"])


def test_the_interval_of_a_mean_is_near_two_standard_errors() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1.0, 400)
    found = interval(paired_bootstrap(mean_score, [differences], [np.zeros(400)], n=4000, seed=0))
    error = differences.std() / np.sqrt(400)
    assert found.difference == pytest.approx(differences.mean())
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.15 * error)
    assert (found.rows, found.level) == (400, 0.95)


def test_rows_are_paired_so_equal_models_differ_by_exactly_nothing() -> None:
    labels, student, _ = models()
    found = interval(paired_bootstrap(partial(matthews, labels), [student], [student], n=100))
    assert (found.low, found.difference, found.high) == (0.0, 0.0, 0.0)


def test_several_seeds_share_each_resample_and_are_averaged() -> None:
    labels, student, teacher = models()
    other = models(seed=9)[1]
    score = partial(matthews, labels)
    together = paired_bootstrap(score, [student, other], [teacher, teacher], n=50, seed=4)
    apart = [paired_bootstrap(score, [one], [teacher], n=50, seed=4).samples for one in (student, other)]
    assert together.samples == pytest.approx(np.mean(apart, axis=0))


def test_the_same_seed_gives_the_same_interval_whatever_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, student, teacher = models()
    score = partial(matthews, labels)
    whole = paired_bootstrap(score, [student], [teacher], n=30, seed=7).samples
    monkeypatch.setattr("training.statistics.BLOCK_ELEMENTS", 350)
    assert np.array_equal(paired_bootstrap(score, [student], [teacher], n=30, seed=7).samples, whole)


def test_the_mean_over_datasets_has_a_narrower_interval_than_its_parts() -> None:
    generator = np.random.default_rng(0)
    parts = [paired_bootstrap(mean_score, [generator.normal(size=100)], [np.zeros(100)], seed=s) for s in range(4)]
    mean = mean_bootstrap(parts)
    assert mean.rows == 400
    assert mean.difference == pytest.approx(np.mean([part.difference for part in parts]))
    assert np.std(mean.samples) == pytest.approx(np.mean([np.std(p.samples) for p in parts]) / 2, rel=0.15)


def test_predictions_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="the same rows"):
        paired_bootstrap(mean_score, [np.zeros(4)], [np.zeros(5)])
    with pytest.raises(ValueError, match="the same rows"):
        paired_bootstrap(mean_score, [], [np.zeros(5)])
    with pytest.raises(ValueError, match="fraction"):
        interval(paired_bootstrap(mean_score, [np.zeros(4)], [np.zeros(4)], n=3), level=95)
