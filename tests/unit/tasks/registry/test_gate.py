"""The gate's verdicts on invented losses: every branch, and the figures in its sentence."""

import numpy as np
import pytest

from config import Registry
from tasks.registry.gate import Claim, Losses, judge, judge_first

ROWS = 200


def losses(shift: float, rows: int = ROWS, noise: float = 0.0, start: int = 0) -> Losses:
    """Losses of so many dev rows, 1 + shift in the mean."""
    drawn = np.random.default_rng(1).normal(0, 1, rows)
    around = noise * (drawn - drawn.mean())
    return {("dev", str(start + row), 0.0): 1.0 + shift + float(around[row]) for row in range(rows)}


def claim(found: Losses | None = None, margin: float = -1.0, selected_on: str = "selection") -> Claim:
    return Claim(5, 1_000_000, 12.5, margin, "accuracy", selected_on, losses(0.0) if found is None else found)


def test_a_version_whose_interval_is_wholly_worse_is_stopped_with_the_figures() -> None:
    verdict = judge(claim(losses(0.2, noise=0.1)), Registry(), 3, losses(0.0), "selection")
    assert not verdict.passed
    assert verdict.text.startswith("version 3 stays champion: version 5 is worse, its task loss differs by +0.2000")
    assert "on 200 rows that both have predicted (90 % interval +0." in verdict.text


def test_a_version_that_is_a_little_worse_but_not_told_apart_passes() -> None:
    verdict = judge(claim(losses(0.01, noise=1.0)), Registry(), 3, losses(0.0), "selection")
    assert verdict.passed
    assert "not told apart" in verdict.text


def test_a_narrower_interval_stops_what_a_wider_one_lets_through() -> None:
    found = claim(losses(0.04, noise=0.4))
    assert judge(found, Registry(level=0.99), 3, losses(0.0), "selection").passed
    assert not judge(found, Registry(level=0.51), 3, losses(0.0), "selection").passed


@pytest.mark.parametrize("shift", [0.0, 1e-9], ids=["equal", "equal but for another machine's arithmetic"])
def test_an_equal_version_is_not_stopped(shift: float) -> None:
    verdict = judge(claim(losses(shift)), Registry(), 3, losses(0.0), "selection")
    assert verdict.passed
    assert "not told apart from it, which does not block" in verdict.text


def test_a_better_version_takes_the_place() -> None:
    verdict = judge(claim(losses(-0.2, noise=0.1)), Registry(), 3, losses(0.0), "selection")
    assert verdict.passed
    assert verdict.text.startswith("version 5 takes version 3's place as champion: it is better")


def test_only_rows_that_both_predicted_with_the_same_label_count_and_too_few_are_said_to_be_too_few() -> None:
    other = {**losses(5.0, 150, start=100), ("dev", "0", 1.0): 9.0, ("selection", "1", 0.0): 9.0}
    verdict = judge(claim(), Registry(minimum_rows=101), 3, other, "selection")
    assert not verdict.passed
    assert (
        "too few rows to tell, version 5 and it have both predicted 100, below registry.minimum_rows 101"
        in verdict.text
    )
    assert "flows promote" in verdict.text
    assert judge(claim(), Registry(minimum_rows=100), 3, other, "selection").passed


def test_a_champion_without_predictions_stays() -> None:
    verdict = judge(claim(), Registry(), 3, None, "selection")
    assert not verdict.passed
    assert "holds no predictions of it" in verdict.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Registry(max_parameters=999_999), "1,000,000 parameters are above registry.max_parameters 999,999"),
        (Registry(max_latency_ms=12.0), "a latency of 12.50 ms is above registry.max_latency_ms 12"),
    ],
)
def test_the_absolute_limits_stop_the_best_version_and_a_first_one(settings: Registry, words: str) -> None:
    for verdict in (
        judge(claim(losses(-0.5)), settings, 3, losses(0.0), "selection"),
        judge_first(claim(margin=50.0), settings),
    ):
        assert not verdict.passed
        assert words in verdict.text


@pytest.mark.parametrize(("margin", "passes"), [(-10.1, False), (-10.0, True), (3.0, True)])
def test_the_first_champion_needs_the_margin(margin: float, passes: bool) -> None:
    verdict = judge_first(claim(margin=margin), Registry(first_margin=-10.0))
    assert verdict.passed is passes
    assert f"{margin:+.1f} points from its teacher's" in verdict.text
    assert "registry.first_margin -10.0" in verdict.text


def test_every_sentence_of_the_papers_protocol_carries_its_label() -> None:
    texts = [
        judge(claim(selected_on="dev"), Registry(), 3, losses(0.0), "selection").text,
        judge(claim(), Registry(), 3, losses(0.0), "dev").text,
        judge(claim(), Registry(minimum_rows=1000), 3, losses(0.0), "dev").text,
        judge(claim(), Registry(), 3, None, "dev").text,
        judge_first(claim(selected_on="dev"), Registry()).text,
    ]
    assert all(text.endswith("(selected on dev)") for text in texts)
    assert "selected on dev" not in judge(claim(), Registry(), 3, losses(0.0), "selection").text
