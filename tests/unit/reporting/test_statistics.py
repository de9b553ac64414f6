"""Intervals against published values, exact bounds and derivatives; what they hold is simulated in test_coverage.py."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from errors import UserError
from kinds import Kind
from metrics import class_metric, weighted_metric
from reporting.influence import correlation_influence, count_influence
from reporting.intervals import none_of, over_seeds, tango
from reporting.statistics import (
    FEWEST_ROWS,
    Interval,
    mean_interval,
    mean_sd,
    paired_interval,
    paired_mean_interval,
    score_interval,
    share_interval,
)

CLASS_METRICS = ("accuracy", "f1", "macro_f1", "matthews", "loss")
REGRESSION_METRICS = ("pearson", "spearman", "mse")
METRICS: list[tuple[str, Kind]] = [
    *((name, "single") for name in CLASS_METRICS),
    *((name, "regression") for name in REGRESSION_METRICS),
]


def models(kind: Kind, rows: int = 60, count: int = 2, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels and the logits of `count` models, each a little worse than the one before."""
    generator = np.random.default_rng(seed)
    if kind == "regression":
        truth = generator.normal(size=rows)
        return truth, [truth[:, None] + (0.4 + 0.1 * k) * generator.normal(size=(rows, 1)) for k in range(count)]
    labels = generator.integers(0, 2, rows)
    return labels, [generator.normal(size=(rows, 2)) + (1.6 - 0.2 * k) * np.eye(2)[labels] for k in range(count)]


def bounds(found: Interval) -> tuple[float, float]:
    assert found.low is not None and found.high is not None
    return found.low, found.high


def test_one_seed_has_a_mean_and_no_deviation() -> None:
    assert mean_sd([0.5]).sd is None
    assert mean_sd([0.5]).count == 1


def test_the_deviation_over_seeds_divides_by_one_less_than_their_number() -> None:
    spread = mean_sd([1.0, 2.0, 4.0])
    assert spread.mean == pytest.approx(7 / 3)
    assert spread.sd == pytest.approx(np.std([1, 2, 4], ddof=1))
    with pytest.raises(ValueError, match="at least one seed"):
        mean_sd([])


def test_tangos_interval_is_the_published_one() -> None:
    # Fagerland, Lydersen and Laake (2014), Table 8: 21 children, 1 and 7 of them discordant.
    assert tango(1 / 21, 7 / 21, 21, 0.95) == pytest.approx((-0.517, -0.026), abs=5e-4)
    low, high = tango(12 / 44, 2 / 44, 44, 0.9)
    assert tango(2 / 44, 12 / 44, 44, 0.9) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("rows", "bound"), [(92, 3.9), (3, 71)])
def test_where_no_row_differs_the_bound_is_the_exact_one(rows: int, bound: float) -> None:
    exact = stats.binomtest(0, rows).proportion_ci(0.95, method="exact").high
    assert none_of(rows, 0.95) == pytest.approx(exact)
    assert 100 * exact == pytest.approx(bound, abs=0.5 if rows == 3 else 0.05)
    assert tango(0, 0, rows, 0.95) == (-none_of(rows, 0.95), none_of(rows, 0.95))


@pytest.mark.parametrize("differing", [1, 25, 50])
def test_at_the_end_of_the_scale_an_interval_still_has_a_width(differing: int) -> None:
    low, high = tango(differing / 50, 0, 50, 0.95)
    assert low < differing / 50 <= high <= 1
    assert high - low > 0.05


def test_a_share_has_wilsons_interval_and_none_without_rows() -> None:
    expected = stats.binomtest(7, 30).proportion_ci(0.9, method="wilson")
    assert bounds(share_interval(7, 30, 0.9)) == pytest.approx((expected.low, expected.high))
    assert share_interval(0, 0, 0.9).low is None
    labels, (one,) = models("single", count=1)
    right = int((one.argmax(axis=1) == labels).sum())
    assert bounds(score_interval("accuracy", "single", labels, [one], 0.9)) == pytest.approx(
        bounds(share_interval(right, len(labels), 0.9))
    )


@pytest.mark.parametrize("metric", ["f1", "macro_f1", "matthews"])
def test_the_influence_of_a_row_on_a_table_is_its_derivative(metric: str) -> None:
    generator = np.random.default_rng(3)
    classes = 2 if metric == "f1" else 3
    true, predicted = generator.integers(0, classes, (2, 40))
    counts = np.zeros((classes, classes))
    np.add.at(counts, (true, predicted), 1.0)
    more = np.repeat(counts[None], 40, axis=0)
    more[np.arange(40), true, predicted] += 1e-6
    expected = (class_metric(metric, more) - class_metric(metric, counts[None])) / 1e-6
    assert count_influence(metric, counts, true, predicted) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_the_influence_of_a_row_on_a_correlation_is_its_derivative(metric: str) -> None:
    generator = np.random.default_rng(4)
    labels = generator.normal(size=40).round(1)  # with ties
    predictions = (labels + generator.normal(size=40)).round(1)
    weights = np.vstack([np.ones(40), np.ones((40, 40)) + 1e-5 * np.eye(40)])
    whole, *more = weighted_metric(metric, predictions[:, None], labels, "regression", weights)
    expected = 40 * (np.array(more) - whole) / 1e-5
    assert correlation_influence(metric, predictions, labels) == pytest.approx(expected, abs=1e-4)
    assert not correlation_influence(metric, np.ones(40), labels).any()


def test_a_metric_without_an_influence_of_its_own_gets_no_other_ones() -> None:
    classes, numbers = np.zeros(2, dtype=np.int64), np.arange(2.0)
    with pytest.raises(UserError, match="'kappa' has no influence of a row; add it to count_influence in"):
        count_influence("kappa", np.eye(2), classes, classes)
    with pytest.raises(
        UserError,
        match="'kendall' has no influence of a row; add it to correlation_influence in",
    ):
        correlation_influence("kendall", numbers, numbers)


@pytest.mark.parametrize(("metric", "kind"), METRICS)
def test_under_twenty_rows_there_is_no_interval_and_from_twenty_on_there_is(metric: str, kind: Kind) -> None:
    labels, (student, teacher) = models(kind, rows=FEWEST_ROWS)
    fewer = slice(0, FEWEST_ROWS - 1)
    for found in (
        paired_interval(metric, kind, labels[fewer], [student[fewer]], [teacher[fewer]], 0.95),
        score_interval(metric, kind, labels[fewer], [student[fewer]], 0.95),
    ):
        assert (found.low, found.high, found.rows) == (None, None, 19)
        assert found.method == "too few rows: no interval (fewer than 20)"
    low, high = bounds(paired_interval(metric, kind, labels, [student], [teacher], 0.95))
    assert low < high


@pytest.mark.parametrize(("metric", "kind"), METRICS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_models_that_answer_alike_differ_by_nothing_with_an_interval_that_has_a_width(
    metric: str, kind: Kind, seeds: int
) -> None:
    labels, (one, *_) = models(kind)
    found = paired_interval(metric, kind, labels, [one] * seeds, [one] * seeds, 0.95)
    low, high = bounds(found)
    assert found.difference == 0
    assert low < -0.005 and high > 0.005
    assert low == pytest.approx(-high)


@pytest.mark.parametrize("metric", CLASS_METRICS[:-1])
def test_a_class_with_one_row_and_models_of_one_answer_have_an_interval_within_what_is_possible(metric: str) -> None:
    labels = np.array([1] + [0] * 29)
    always, never = (np.tile(one, (30, 1)) for one in np.eye(2))
    for students, teachers in (([always], [never]), ([never], [always]), ([always, always], [never, always])):
        found = paired_interval(metric, "single", labels, students, teachers, 0.95)
        low, high = bounds(found)
        limit = 2 if metric == "matthews" else 1
        assert -limit <= low <= found.difference <= high <= limit
        assert high - low > 0.1


@pytest.mark.parametrize(("metric", "kind"), METRICS)
def test_the_order_of_rows_changes_nothing_and_sides_swap_their_ends(metric: str, kind: Kind) -> None:
    labels, (student, teacher) = models(kind)
    low, high = bounds(paired_interval(metric, kind, labels, [student], [teacher], 0.95))
    order = np.random.default_rng(9).permutation(len(labels))
    mixed = paired_interval(metric, kind, labels[order], [student[order]], [teacher[order]], 0.95)
    assert bounds(mixed) == pytest.approx((low, high))
    assert bounds(paired_interval(metric, kind, labels, [teacher], [student], 0.95)) == pytest.approx((-high, -low))
    narrow = bounds(paired_interval(metric, kind, labels, [student], [teacher], 0.8))
    assert low < narrow[0] < narrow[1] < high


@pytest.mark.parametrize(("metric", "kind"), METRICS)
def test_with_many_rows_an_interval_is_two_standard_errors_of_a_bootstrap(metric: str, kind: Kind) -> None:
    labels, (student, teacher) = models(kind, rows=2000)
    low, high = bounds(paired_interval(metric, kind, labels, [student], [teacher], 0.95))
    drawn = np.random.default_rng(5).multinomial(2000, np.full(2000, 1 / 2000), size=400).astype(np.float64)
    samples = [weighted_metric(metric, one, labels, kind, drawn) for one in (student, teacher)]
    assert high - low == pytest.approx(2 * 1.96 * float(np.std(samples[0] - samples[1])), rel=0.12)


def test_a_class_that_is_neither_there_nor_answered_takes_no_part_in_macro_f1() -> None:
    labels, (student, teacher) = models("single")
    wider = [np.hstack([one, np.full((60, 3), -9.0)]) for one in (student, teacher)]
    plain = bounds(paired_interval("macro_f1", "single", labels, [student], [teacher], 0.95))
    assert bounds(paired_interval("macro_f1", "single", labels, wider[:1], wider[1:], 0.95)) == pytest.approx(plain)


def test_macro_f1_of_many_classes_needs_ten_rows_a_class() -> None:
    generator = np.random.default_rng(2)
    labels = np.arange(70) % 7
    student, constant = generator.normal(size=(70, 7)) + 2 * np.eye(7)[labels], np.tile(np.eye(7)[0], (70, 1))
    assert bounds(paired_interval("macro_f1", "single", labels, [student], [constant], 0.95))[0] > 0
    few = slice(0, 69)
    for found in (
        paired_interval("macro_f1", "single", labels[few], [student[few]], [constant[few]], 0.95),
        score_interval("macro_f1", "single", labels[few], [student[few]], 0.95),
    ):
        assert (found.low, found.method) == (None, "too few rows: no interval (fewer than 70)")
    assert paired_interval("accuracy", "single", labels[few], [student[few]], [constant[few]], 0.95).low is not None


def seeds_of_shares(shares: Sequence[float], rows: int) -> list[np.ndarray]:
    """Right answers on the first of the rows, a share of them for each seed; class 0 is right."""
    return [np.eye(2)[(np.arange(rows) >= round(share * rows)).astype(int)] for share in shares]


def test_seeds_that_differ_widen_the_interval_to_that_of_their_mean() -> None:
    labels = np.zeros(100_000, dtype=np.int64)
    shares = [0.80, 0.86, 0.84]
    found = paired_interval("accuracy", "single", labels, seeds_of_shares(shares, 100_000), [np.eye(2)[labels]], 0.95)
    reach = stats.t.ppf(0.975, 2) * np.std(shares, ddof=1) / np.sqrt(3)
    assert found.difference == pytest.approx(np.mean(shares) - 1)
    assert bounds(found) == pytest.approx((found.difference - reach, found.difference + reach), abs=0.001)
    assert (found.rows, found.seeds) == (100_000, 3)
    assert "3 seeds" in found.method


def test_seeds_that_agree_leave_the_interval_over_rows() -> None:
    labels, (student, teacher) = models("single")
    one = paired_interval("accuracy", "single", labels, [student], [teacher], 0.95)
    three = paired_interval("accuracy", "single", labels, [student] * 3, [teacher] * 3, 0.95)
    assert bounds(three) == pytest.approx(bounds(one))
    assert bounds(paired_interval("accuracy", "single", labels, [student] * 3, [teacher], 0.95)) == bounds(three)


def test_an_interval_over_seeds_is_never_narrower_than_over_rows_alone() -> None:
    assert over_seeds(0.1, (0.0, 0.3), np.array([0.1, 0.1]), 0.2, 0.95) == (0.0, 0.3)


def test_row_values_that_hardly_ever_differ_have_the_exact_bound_on_how_often() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    low, high = bounds(paired_mean_interval([values], [values], 0.95))
    assert high == pytest.approx(np.ptp(values) * none_of(200, 0.95))
    assert low == -high


def test_the_mean_over_datasets_adds_the_squares_of_the_half_widths() -> None:
    parts = [Interval(0.1, 0.0, 0.3, 0.95, 50, 2, ""), Interval(-0.3, -0.7, 0.0, 0.95, 60, 3, "")]
    found = mean_interval(parts, 0.95)
    assert found.difference == pytest.approx(-0.1)
    assert bounds(found) == pytest.approx((-0.1 - np.hypot(0.1, 0.4) / 2, -0.1 + np.hypot(0.2, 0.3) / 2))
    assert (found.rows, found.seeds) == (110, 2)
    assert bounds(mean_interval(parts[:1], 0.95)) == pytest.approx((0.0, 0.3))


def test_the_mean_over_datasets_of_which_one_has_no_interval_has_none() -> None:
    small = Interval(0.1, None, None, 0.95, 5, 1, "too few rows")
    found = mean_interval([small, Interval(0.3, 0.2, 0.4, 0.95, 50, 1, "")], 0.95)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (None, None)
    with pytest.raises(ValueError, match="no datasets"):
        mean_interval([], 0.95)


def test_predictions_of_other_rows_or_seeds_are_refused() -> None:
    labels, (student, teacher) = models("single")
    with pytest.raises(ValueError, match="the same rows"):
        paired_interval("accuracy", "single", labels, [student], [teacher[:-1]], 0.95)
    with pytest.raises(ValueError, match="the same rows"):
        paired_mean_interval([], [np.zeros(40)], 0.95)
    with pytest.raises(ValueError, match="3 seeds of students can't be paired with 2 of teachers"):
        paired_interval("accuracy", "single", labels, [student] * 3, [teacher] * 2, 0.95)
    with pytest.raises(ValueError, match="fraction"):
        paired_mean_interval([np.zeros(40)], [np.zeros(40)], 95)
