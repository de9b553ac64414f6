"""Ranks of methods over datasets: what is tested with how many of them, and what is said of it."""

import pytest

from reporting.ranking import rank_methods
from reporting.significance import holm, wilcoxon

NAMES = [f"d{number}" for number in range(8)]
SCORES = {
    "kd": [0.60, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66, 0.67],
    "better": [0.61, 0.63, 0.65, 0.67, 0.69, 0.71, 0.73, 0.75],
    "same": [0.59, 0.62, 0.61, 0.64, 0.63, 0.66, 0.65, 0.68],
}


def test_with_eight_datasets_each_method_is_tested_against_the_baseline() -> None:
    ranking = rank_methods(SCORES, NAMES, "kd", 0.95)
    differences = {
        name: [a - b for a, b in zip(SCORES[name], SCORES["kd"], strict=True)] for name in ("better", "same")
    }
    assert ranking.wilcoxon == pytest.approx(holm({name: wilcoxon(own) for name, own in differences.items()}))
    assert ranking.wilcoxon["better"] == pytest.approx(2 * 2 / 2**8)
    assert ranking.wilcoxon["same"] > 0.5
    assert ranking.average["better"] == 1
    assert "the methods differ" in ranking.note and "left out" not in ranking.note


def test_methods_that_differ_less_than_chance_are_not_told_apart() -> None:
    scores = {"kd": SCORES["kd"], "same": SCORES["same"], "again": SCORES["kd"]}
    assert "are not told apart" in rank_methods(scores, NAMES, "kd", 0.95).note


def test_no_method_is_named_where_the_tests_tell_none_apart() -> None:
    scores = {"kd": SCORES["kd"], "same": SCORES["same"], "again": [score + 0.001 for score in SCORES["kd"]]}
    ranking = rank_methods(scores, NAMES, "kd", 0.95)
    assert ranking.test is not None and ranking.test.p > 0.05
    assert ranking.note.endswith("So no method is the best by these ranks.")
    assert "owest" not in ranking.note


def test_a_method_that_is_the_best_everywhere_is_named_only_where_it_is_told_from_the_second() -> None:
    worse = {f"m{place}": [0.5 - 0.01 * place] * 8 for place in range(4)}
    assert "Of the lowest average ranks none is told apart from the others: m0 1.0, m1 2.0" in (
        rank_methods(worse, NAMES, "m0", 0.95).note
    )
    first, *others = ([0.9] * 8, *([0.5 + 0.01 * ((place + row) % 3) for row in range(8)] for place in range(3)))
    scores = dict(zip(("best", "a", "b", "c"), [first, *others], strict=True))
    many = {name: [*values, *values, *values] for name, values in scores.items()}
    names = [f"d{number}" for number in range(24)]
    assert "Lowest average rank, told apart from all others: best, 1.0." in rank_methods(many, names, "a", 0.95).note


def test_a_critical_difference_beyond_all_ranks_is_said_to_be_so() -> None:
    scores = {f"m{number}": [0.1 * number, 0.2 * number, 0.3 * number] for number in range(9)}
    assert "more than ranks can differ with 3 datasets" in rank_methods(scores, NAMES[:3], "m0", 0.999).note


def test_one_method_has_no_rank() -> None:
    assert rank_methods({"kd": [0.5]}, ["cb"], "kd", 0.95).average == {}
