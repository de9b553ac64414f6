"""The tests that a student meets by itself, on planted answers: what each lets through, what it stops, what it says."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from config.parameters import Registry
from records.registered import Check
from reporting.statistics import paired_interval
from reporting.verdict.check_result import CHAMPION, FINETUNE, LIMITS, MARGIN, NAMES, ROWS, STUDENT, TEACHER, Verdict
from reporting.verdict.dev_rows import IS_FINETUNE, NOT_EVALUATED, DevRows
from reporting.verdict.own_checks import own_checks, points


def answers(labels: NDArray[np.int64], right: float, classes: int, start: int = 0) -> NDArray[np.float64]:
    """Logits that are right on a share of the rows, the wrong ones spread evenly from row `start` on."""
    rows = len(labels)
    wrong = np.roll(np.floor(np.arange(rows) * (1 - right)) != np.floor((np.arange(rows) + 1) * (1 - right)), start)
    logits = np.zeros((rows, classes))
    logits[np.arange(rows), np.where(wrong, (labels + 1) % classes, labels)] = 4.0
    return logits


def evidence(
    student: float = 0.88,
    teacher: float = 0.9,
    rows: int = 600,
    classes: int = 2,
    metric: str = "accuracy",
    **more: object,
) -> DevRows:
    """A student and a teacher that are right on so many of the rows, half of which carry the constant's class."""
    labels = np.random.default_rng(0).permutation(np.arange(rows) % classes)
    made = DevRows(
        metric=metric,
        kind="single",
        labels=labels,
        student=answers(labels, student, classes, start=1),
        teacher=answers(labels, teacher, classes),
        constant=0.0,
        finetune=None,
        selected_on="selection",
        parameters=1_000_000,
        latency_ms=12.5,
    )
    return replace(made, **more)


def checked(rows: DevRows, **settings: float | None) -> dict[str, Check]:
    return {check.name: check for check in own_checks(rows, Registry.model_validate(settings))}


def failed(rows: DevRows, **settings: float | None) -> set[str]:
    return {name for name, check in checked(rows, **settings).items() if check.passed is False}


def test_a_good_student_passes_every_test_and_all_are_there_in_order_but_for_the_champion() -> None:
    found = checked(evidence(finetune=evidence().student))
    assert [*found, CHAMPION] == list(NAMES)
    assert failed(evidence(finetune=evidence().student)) == set()
    assert found[LIMITS].passed is None and "neither registry.max_parameters nor" in found[LIMITS].text
    assert found[ROWS].text == "enough rows: 600 dev rows, at least registry.minimum_rows 100"
    assert found[MARGIN].text.startswith("margin to its teacher: accuracy -2.2 points [-5.")
    assert found[MARGIN].text.endswith("lower end above registry.margin -10.0 at 90 %")
    assert found[MARGIN].threshold == "lower end above registry.margin -10.0 at 90 %"
    assert found[MARGIN].figure in found[MARGIN].text


@pytest.mark.parametrize("classes", [2, 7])
def test_a_constant_classifier_fails_above_the_majority_beside_a_teacher_that_is_one_too(classes: int) -> None:
    """Margin 0.0 to its teacher, and nothing learned: what became champion before."""
    constant = evidence(classes=classes).constants
    rows = replace(evidence(classes=classes), student=constant, teacher=constant)
    assert failed(rows) == {TEACHER, STUDENT}
    assert "accuracy 0.0 points [" in checked(rows)[STUDENT].text


@pytest.mark.parametrize(
    ("metric", "score"), [("matthews", "0.0 points"), ("macro_f1", "0.0 points"), ("f1", "0.0 points")]
)
def test_a_constant_classifier_fails_in_every_metric(metric: str, score: str) -> None:
    constant = evidence().constants
    rows = replace(evidence(metric=metric), student=constant)
    assert STUDENT in failed(rows) and TEACHER not in failed(rows)
    assert f"{metric} {score}" in checked(rows)[STUDENT].text


@pytest.mark.parametrize(("metric", "classes"), [("macro_f1", 7), ("macro_f1", 2), ("f1", 2)])
def test_a_guess_has_a_better_f1_than_a_constant_and_is_stopped_all_the_same(metric: str, classes: int) -> None:
    """A constant's macro-F1 over 7 classes is 3.6 and a guess's 14.3: above the majority, and nothing learned."""
    rows = evidence(classes=classes, metric=metric, rows=1400)
    guess = np.eye(classes)[np.random.default_rng(3).integers(0, classes, rows.rows)]
    found = checked(replace(rows, student=guess, teacher=guess))[STUDENT]
    assert found.passed is False
    gained = float(found.figure.split()[1])
    assert gained > 8 and "matthews" in found.text


def test_where_macro_f1_has_no_interval_matthews_tells_a_teacher_from_the_majority() -> None:
    """60 rows of 7 classes: a teacher with 98 % right was "not told apart from the majority"."""
    rows = evidence(student=0.75, teacher=0.98, rows=60, classes=7, metric="macro_f1")
    found = checked(rows)
    assert "macro_f1 +" in found[TEACHER].figure and "no interval" in found[TEACHER].figure
    assert failed(rows) == {ROWS, MARGIN}, "nothing replaces the interval of the margin"
    assert failed(replace(rows, student=rows.constants)) == {ROWS, STUDENT, MARGIN}
    guess = np.eye(7)[np.random.default_rng(3).integers(0, 7, rows.rows)]
    assert STUDENT in failed(replace(rows, student=guess))


def test_a_student_far_behind_its_teacher_fails_by_the_lower_end_alone() -> None:
    far = evidence(student=0.42, teacher=0.98, classes=7)
    assert failed(far) == {MARGIN}
    assert "lower end not above registry.margin -10.0" in checked(far)[MARGIN].text
    near = evidence(student=0.82, teacher=0.9, rows=200)
    assert float(checked(near)[MARGIN].figure.split()[1]) > -10
    assert MARGIN in failed(near), "8 points behind on 200 rows: 10 points are not excluded"
    assert MARGIN not in failed(near, margin=-20.0)


def test_a_margin_that_no_student_has_stops_all_and_one_that_every_student_has_stops_none() -> None:
    assert MARGIN in failed(evidence(student=1.0), margin=15.0)
    assert MARGIN not in failed(evidence(student=0.0), margin=-200.0)


def test_an_end_is_never_shown_as_the_threshold_that_it_is_not() -> None:
    """Else a sentence says that -10.0 is above -10.0."""
    rows = evidence()
    low = float(checked(rows)[MARGIN].figure.split("[")[1].split(",")[0])
    exact = points(rows, paired_interval("accuracy", "single", rows.labels, [rows.student], [rows.teacher], 0.9)).low
    assert exact is not None and low == pytest.approx(exact, abs=0.05)
    for near in (exact - 0.001, exact + 0.001):
        shown = float(checked(rows, margin=near)[MARGIN].figure.split("[")[1].split(",")[0])
        assert (shown > near) is (exact > near)


@pytest.mark.parametrize(("rows", "stopped"), [(99, True), (100, False)])
def test_minimum_rows_holds_for_a_student_by_itself(rows: int, stopped: bool) -> None:
    assert (ROWS in failed(evidence(rows=rows, teacher=1.0, student=1.0))) is stopped


def test_three_dev_rows_give_no_interval_and_pass_nothing_that_needs_one() -> None:
    rows = evidence(rows=3, classes=3, student=1.0, teacher=1.0)
    assert failed(rows, minimum_rows=1) == {TEACHER, STUDENT, MARGIN}
    assert "[no interval: too few rows]" in checked(rows)[MARGIN].text
    told = checked(replace(rows, finetune=rows.student))[FINETUNE]
    assert told.passed is None and "3 dev rows are too few for an interval" in told.text


def test_a_student_wholly_below_finetune_is_stopped_and_finetune_is_named_as_the_one_to_take() -> None:
    rows = evidence(student=0.8, teacher=0.85)
    better = replace(rows, finetune=answers(rows.labels.astype(np.int64), 0.95, 2, start=2))
    assert failed(better) == {FINETUNE}
    assert checked(better)[FINETUNE].text.endswith(
        "interval wholly below 0 at 90 %: the fine-tuned student is the one to take"
    )
    little = replace(rows, finetune=answers(rows.labels.astype(np.int64), 0.81, 2, start=2))
    assert checked(little)[FINETUNE].passed


def test_finetune_is_not_asked_of_itself_or_where_it_is_no_method_and_fails_where_it_was_not_evaluated() -> None:
    assert checked(evidence())[FINETUNE].text == "not worse than finetune (finetune is not among the methods)"
    own = checked(evidence(no_finetune=IS_FINETUNE))[FINETUNE]
    assert own.passed is None and "it is the fine-tuned student" in own.text
    assert failed(evidence(no_finetune=NOT_EVALUATED)) == {FINETUNE}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_parameters": 999_999}, "1,000,000 parameters, not within registry.max_parameters 999,999"),
        ({"max_latency_ms": 12.0}, "12.50 ms, not within registry.max_latency_ms 12"),
        ({"max_parameters": 2_000_000, "max_latency_ms": 12.0}, "1,000,000 parameters and 12.50 ms, not within"),
    ],
)
def test_the_limits_stop_the_best_student(settings: dict[str, float], words: str) -> None:
    rows = evidence(student=1.0)
    assert failed(rows, **settings) == {LIMITS}
    assert words in checked(rows, **settings)[LIMITS].text
    assert checked(rows, max_parameters=1_000_000)[LIMITS].passed


def regression(noise: float, teacher_noise: float = 0.1, metric: str = "mse", rows: int = 400) -> DevRows:
    """Labels of variance about 1; a student whose error is its own noise."""
    draw = np.random.default_rng(4)
    labels = draw.normal(3, 1, rows)
    student, teacher = ((labels + scale * draw.normal(size=rows))[:, None] for scale in (noise, teacher_noise))
    return replace(
        evidence(rows=rows),
        metric=metric,
        kind="regression",
        labels=labels,
        student=student,
        teacher=teacher,
        constant=3.0,
    )


def test_a_squared_error_is_in_points_of_the_constants_and_less_is_better() -> None:
    found = checked(regression(noise=0.2))
    points = float(found[MARGIN].figure.split()[1])
    assert points == pytest.approx(-(0.2**2 - 0.1**2) * 100, abs=1)
    assert "mse" in found[MARGIN].text and "points of the constant's error" in found[MARGIN].text
    assert found[MARGIN].passed and found[STUDENT].passed
    assert found[STUDENT].text.startswith("student above the mean: mse +9")
    assert failed(regression(noise=0.5)) == {MARGIN}
    assert failed(regression(noise=1.5)) == {STUDENT, MARGIN}


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_constant_number_has_no_correlation_to_be_above_the_mean_with(metric: str) -> None:
    rows = regression(noise=0.2, metric=metric)
    assert failed(rows) == set()
    assert failed(replace(rows, student=rows.constants)) == {STUDENT, MARGIN}


def test_a_verdict_has_every_test_in_one_sentence_with_those_that_decide_first() -> None:
    verdict = Verdict(own_checks(evidence(student=0.42, teacher=0.98, classes=7), Registry()))
    assert not verdict.passed
    assert verdict.text.startswith("failed: margin to its teacher: accuracy -56.0 points [")
    assert all(check.text in verdict.text for check in verdict.checks)
    assert verdict.text.index("passed: ") < verdict.text.index("not asked: ")
