"""The comparison with the present champion on invented losses, and the sentence that all tests make."""

import numpy as np
import pytest

from config.parameters import Registry
from records.registered import Check
from registry.gate import Holder, Losses, against_champion, judge, read_losses
from reporting.verdict.check_result import CHAMPION, FINETUNE, LIMITS, MARGIN, ROWS, unasked

ROWS_IN_ALL = 200
GOOD = (
    unasked(LIMITS, "no limit is set"),
    Check(ROWS, True, "200 dev rows", "at least registry.minimum_rows 100", "enough rows: 200 dev rows, at least 100"),
    Check(MARGIN, True, "-2.0 points", "above -10.0", "margin to its teacher: -2.0 points, above -10.0"),
)
BAD = (
    *GOOD[:2],
    Check(MARGIN, False, "-12.0 points", "above -10.0", "margin to its teacher: -12.0 points, not above -10.0"),
)


def losses(shift: float, rows: int = ROWS_IN_ALL, noise: float = 0.0, start: int = 0) -> Losses:
    """Losses of so many dev rows, 1 + shift in the mean."""
    drawn = np.random.default_rng(1).normal(0, 1, rows)
    around = noise * (drawn - drawn.mean())
    return {("dev", str(start + row), 0.0): 1.0 + shift + float(around[row]) for row in range(rows)}


def holder(found: Losses | None = None, selected_on: str = "selection", unfit: str = "") -> Holder:
    return Holder(3, losses(0.0) if found is None else found, selected_on, unfit)


def against(found: Losses, settings: Registry | None = None, other: Losses | None = None) -> Check:
    return against_champion(5, found, settings or Registry(), holder(other))


def test_a_version_whose_mean_is_higher_is_stopped_with_the_figures_however_wide_the_interval() -> None:
    check = against(losses(0.2, noise=0.1))
    assert check.passed is False
    assert check.text.startswith("present champion: task loss +0.2000 [+0.18")
    assert check.text.endswith("at 90 %] to version 3 on 200 dev rows, above 0: it is no better")
    little = against(losses(0.01, noise=1.0))
    assert little.passed is False and "[-" in little.text


@pytest.mark.parametrize("shift", [0.0, 1e-9], ids=["equal", "equal but for another machine's arithmetic"])
def test_an_equal_version_passes(shift: float) -> None:
    check = against(losses(shift))
    assert check.passed and check.text.endswith("not above 0: it is not worse")


def test_a_better_version_passes_and_is_called_better_if_the_interval_says_so() -> None:
    assert against(losses(-0.2, noise=0.1)).text.endswith("not above 0: it is better")
    assert against(losses(-0.01, noise=1.0)).text.endswith("not above 0: it is not worse")


def test_only_rows_that_both_predicted_with_the_same_label_count_and_too_few_are_said_to_be_too_few() -> None:
    other = {**losses(5.0, 150, start=100), ("dev", "0", 1.0): 9.0}
    check = against(losses(0.0), Registry(minimum_rows=101), other)
    assert check.passed is False
    assert (
        "100 dev rows that version 5 and version 3 have both predicted, below registry.minimum_rows 101" in check.text
    )
    assert "flows promote" in check.text
    assert against(losses(0.0), Registry(minimum_rows=100), other).passed


def test_a_champion_without_predictions_stays() -> None:
    check = against_champion(5, losses(0.0), Registry(), Holder(3, None, "selection"))
    assert check.passed is False and "holds no predictions of version 3" in check.text


def test_a_champion_that_fails_the_tests_itself_is_not_compared_with() -> None:
    """A constant can have a lower loss than a student that is right and too sure of it."""
    check = against_champion(5, losses(0.5), Registry(), holder(unfit="student above the majority: 0.0 points"))
    assert check.passed is None
    assert "version 3 would not pass itself: student above the majority: 0.0 points" in check.text


def test_without_a_champion_there_is_nothing_to_compare_with() -> None:
    judged = judge(5, GOOD, losses(0.0), "selection", Registry(), None)
    assert judged.passed
    assert judged.text.startswith("version 5 becomes champion; passed: enough rows: 200 dev rows")
    assert judged.text.endswith("not asked: limits (no limit is set), present champion (there is none)")


def test_the_sentence_has_every_test_and_those_that_failed_first() -> None:
    judged = judge(5, BAD, losses(0.1), "selection", Registry(), holder())
    assert judged.text.startswith(
        "version 3 stays champion, version 5 does not become it; failed: margin to its teacher: -12.0 points, not above "
        "-10.0, present champion: task loss +0.1000"
    )
    assert "; passed: enough rows" in judged.text
    assert [check.name for check in judged.verdict.failed] == [MARGIN, CHAMPION]
    first = judge(5, BAD, losses(0.1), "selection", Registry(), None)
    assert first.text.startswith("version 5 does not become champion; failed: margin")
    taken = judge(5, GOOD, losses(-0.1), "selection", Registry(), holder())
    assert taken.text.startswith("version 5 takes version 3's place as champion; passed: enough rows")


def test_a_test_that_was_not_asked_stops_nothing() -> None:
    assert judge(5, (unasked(FINETUNE, "not a method"),), losses(0.0), "selection", Registry(), None).passed


def test_every_sentence_of_the_papers_protocol_carries_its_label() -> None:
    texts = [
        judge(5, GOOD, losses(0.0), "dev", Registry(), holder()).text,
        judge(5, GOOD, losses(0.0), "selection", Registry(), holder(selected_on="dev")).text,
        judge(5, BAD, losses(0.0), "dev", Registry(), None).text,
    ]
    assert all(text.endswith("(selected on dev)") for text in texts)
    assert "selected on dev" not in judge(5, GOOD, losses(0.0), "selection", Registry(), holder()).text


def test_losses_are_read_of_dev_rows_alone(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    content = {
        "set": ["selection", "dev", "dev_mismatched"],
        "row_id": ["1", "1", "1"],
        "label": [0.0, 0.0, 1.0],
        "student_loss": [3.0, 1.0, 2.0],
    }
    parquet.write_table(pa.table(content), tmp_path / "predictions.parquet")
    assert read_losses(tmp_path / "predictions.parquet") == {("dev", "1", 0.0): 1.0, ("dev_mismatched", "1", 1.0): 2.0}
