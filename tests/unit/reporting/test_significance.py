"""The tests over several datasets, against scipy and against cases that can be counted by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from reporting.significance import average_ranks, correlate, critical_difference, friedman, holm, ranks, wilcoxon


def test_the_highest_value_has_rank_one_and_ties_share_a_rank() -> None:
    assert ranks([0.2, 0.9, 0.5, 0.9]).tolist() == [4, 1.5, 3, 1.5]
    values = np.random.default_rng(0).integers(0, 4, 20)
    assert ranks(values.tolist()) == pytest.approx(stats.rankdata(-values))


@pytest.mark.parametrize("ties", [False, True])
def test_friedmans_statistic_is_scipys(ties: bool) -> None:
    scores = np.random.default_rng(1).normal(size=(9, 5))
    scores = scores.round() if ties else scores
    assert friedman(scores).statistic == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)


def test_with_many_datasets_the_permutations_agree_with_the_chi_square_distribution() -> None:
    scores = np.random.default_rng(2).normal(size=(60, 4)) + np.array([0, 0, 0, 0.35])
    assert friedman(scores).p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue, abs=0.01)


def test_with_few_datasets_p_is_the_share_of_all_permutations() -> None:
    scores = np.array([[3.0, 2, 1], [3, 2, 1], [3, 1, 2]])
    orders = list(itertools.permutations((1, 2, 3)))
    spread = [np.var(np.sum(picked, axis=0)) for picked in itertools.product(orders, repeat=3)]
    exact = np.mean(np.array(spread) >= np.var([3, 7, 8]) - 1e-9)
    assert friedman(scores).p == pytest.approx(exact, abs=0.01)


def test_methods_that_tie_everywhere_do_not_differ() -> None:
    assert friedman(np.ones((4, 3))).p == 1


def test_two_datasets_are_too_few_for_a_rank_test() -> None:
    with pytest.raises(ValueError, match="needs 3 datasets and 3 methods at least, got 2 and 4"):
        friedman(np.ones((2, 4)))


def test_the_critical_difference_is_that_of_demsars_example() -> None:
    assert critical_difference(4, 14, 0.90) == pytest.approx(1.12, abs=0.01)  # his section 3.2.2: CD = 1.12 (q = 2.291)
    assert critical_difference(4, 14, 0.95) == pytest.approx(1.25, abs=0.01)


@pytest.mark.parametrize("count", [3, 6, 12])
def test_wilcoxons_p_is_scipys_exact_one(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.4, 1, count)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon(differences.tolist()) == pytest.approx(expected)


def test_wilcoxons_p_of_many_datasets_is_scipys_approximation() -> None:
    differences = np.random.default_rng(5).normal(0.3, 1, 40)
    expected = stats.wilcoxon(differences, method="approx", correction=False).pvalue
    assert wilcoxon(differences.tolist()) == pytest.approx(expected)


def test_differences_of_zero_are_left_out() -> None:
    assert wilcoxon([0.0, 0.0]) == 1
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]) == pytest.approx(2 / 2**5)


def test_holms_values_are_the_step_down_ones_and_keep_their_order() -> None:
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert list(holm({"b": 0.5, "a": 0.1})) == ["b", "a"]


def test_average_ranks_are_means_over_datasets() -> None:
    assert average_ranks(np.array([[1.0, 2, 3], [1, 3, 2]])).tolist() == [3, 1.5, 1.5]


def test_a_correlation_is_pearsons_with_a_p_from_permutations() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=40)
    y = 0.4 * x + generator.normal(size=40)
    expected = stats.pearsonr(x, y)
    found = correlate(x.tolist(), y.tolist())
    assert found is not None
    assert found.r == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_two_pairs_or_a_constant_side_have_no_correlation() -> None:
    assert correlate([1.0, 2.0], [2.0, 1.0]) is None
    assert correlate([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
