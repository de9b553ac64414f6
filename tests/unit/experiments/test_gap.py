"""Share of the gap closed: what it is, when there is none, and that its interval holds the truth."""

import numpy as np
import pytest

from experiments.gap import GapClosed, gap_closed, is_above

LEVEL = 0.95
RIGHT = {"finetuned": 0.70, "student": 0.76, "teacher": 0.82}


def drawn(rows: int, seed: int, right: dict[str, float] = RIGHT, seeds: int = 1) -> GapClosed:
    """Models whose answers go together: a row is right for all whose skill is above its difficulty, for nine rows of ten."""
    draw = np.random.default_rng(seed)
    labels, hard = draw.integers(0, 2, rows), draw.random(rows)

    def logits(share: float) -> np.ndarray:
        own = np.where(draw.random(rows) < 0.9, hard, draw.random(rows))
        return np.eye(2)[np.where(own < share, labels, 1 - labels)]

    sides = {name: [logits(share) for _ in range(seeds)] for name, share in right.items()}
    return gap_closed("accuracy", "single", labels, sides["student"], sides["finetuned"], sides["teacher"], LEVEL)


def test_the_interval_holds_the_true_share_about_as_often_as_it_should() -> None:
    found = [drawn(2000, seed) for seed in range(60)]
    assert all(one.low is not None and one.high is not None for one in found)
    held = sum(one.low <= 0.5 <= one.high for one in found if one.low is not None and one.high is not None)
    assert held >= 53


def test_more_rows_narrow_the_interval() -> None:
    few, many = drawn(1000, 1), drawn(16000, 1)
    assert few.low is not None and few.high is not None and many.low is not None and many.high is not None
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_without_a_gap_there_is_no_share() -> None:
    found = drawn(400, 1, {"finetuned": 0.8, "student": 0.9, "teacher": 0.8})
    assert (found.has_gap, found.share, found.low, found.closes_half) == (False, None, None, False)


def test_half_is_closed_only_by_a_gain_off_zero() -> None:
    sure = drawn(20000, 1, {"finetuned": 0.70, "student": 0.80, "teacher": 0.82})
    assert sure.closes_half and sure.rows_needed == 20000
    near = {"finetuned": 0.75, "student": 0.785, "teacher": 0.82}
    few = [one for seed in range(40) if (one := drawn(300, seed, near)).share is not None and not is_above(one.gain)]
    assert few and not any(one.closes_half for one in few)
    assert all(one.rows_needed is None or one.rows_needed > 300 for one in few)
    hopeful = next(one for one in few if one.share is not None and one.share > 0.4)
    assert hopeful.rows_needed is not None and hopeful.rows_needed < 3000


def test_without_a_gain_no_rows_are_enough() -> None:
    assert drawn(500, 1, {"finetuned": 0.75, "student": 0.6, "teacher": 0.85}).rows_needed is None


def test_the_student_that_equals_its_teacher_closes_all(seeds: int = 2) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 800)
    teacher = [np.eye(2)[np.where(draw.random(800) < 0.9, labels, 1 - labels)] for _ in range(seeds)]
    weak = [np.eye(2)[np.where(draw.random(800) < 0.7, labels, 1 - labels)] for _ in range(seeds)]
    found = gap_closed("f1", "single", labels, teacher, weak, teacher, LEVEL)
    assert found.share == pytest.approx(1) and found.low == pytest.approx(1, abs=0.05)
