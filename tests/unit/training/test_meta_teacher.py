"""Stage 3: what the training of the meta-teacher keeps, and that it repeats."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from methods.task_loss import task_loss, true_class_score
from training.meta_teacher import MetaTeacherResult, MetaTeacherSettings, PooledRows, train_meta_teacher

WIDTH = 6
RULE = torch.randn(WIDTH, generator=torch.Generator().manual_seed(9))
SETTINGS = MetaTeacherSettings(
    loss="collaborative",
    learning_rate=1e-3,
    weight_decay=0.01,
    epochs=10,
    batch_size=8,
    dropout=0.1,
    max_grad_norm=1.0,
    patience=3,
    label_range=None,
    seed=0,
)


def rows(count: int, seed: int, *, student_width: int = WIDTH, choices: int = 1) -> PooledRows:
    draw = torch.Generator().manual_seed(seed)
    teacher = torch.randn(count * choices, WIDTH, generator=draw)
    student = teacher[:, :student_width] + 0.5 * torch.randn(count * choices, student_width, generator=draw)
    scores = (teacher @ RULE).view(count, choices)
    labels = (scores[:, 0] > 0).long() if choices == 1 else scores.argmax(-1)
    return PooledRows(teacher, student, labels)


def trained(
    settings: MetaTeacherSettings, *, weight: torch.Tensor | None = None, student_width: int = WIDTH
) -> MetaTeacherResult:
    weight = torch.zeros(2, WIDTH) if weight is None else weight
    return train_meta_teacher(
        rows(40, 0, student_width=student_width),
        rows(30, 1, student_width=student_width),
        weight,
        torch.zeros(2),
        kind="single",
        settings=settings,
        accelerator=Accelerator(cpu=True),
    )


@pytest.mark.parametrize("loss", ["collaborative", "competitive", "competitive_probability"])
def test_the_head_learns_and_the_best_epoch_is_kept(loss) -> None:
    result = trained(replace(SETTINGS, loss=loss, learning_rate=1e-2))
    losses = [row["selection_loss"] for row in result.curves]
    assert result.best_epoch == losses.index(min(losses)) > 0
    with torch.no_grad():
        kept = task_loss(result.module(rows(30, 1).teacher), rows(30, 1).labels, "single").item()
    assert kept == pytest.approx(min(losses), rel=1e-6)
    assert [row["epoch"] for row in result.curves] == list(range(len(losses)))


def test_a_teachers_head_that_is_best_already_is_kept_untouched() -> None:
    perfect = torch.stack([-20 * RULE, 20 * RULE])
    result = trained(replace(SETTINGS, learning_rate=0.5, patience=3), weight=perfect)
    assert result.best_epoch == 0 and len(result.curves) == 4, "stopped after three epochs without improvement"
    assert torch.equal(result.module.head.weight, perfect)


def test_of_equal_epochs_the_earliest_is_kept() -> None:
    result = trained(replace(SETTINGS, learning_rate=0.0, patience=100, epochs=3))
    assert result.best_epoch == 0 and len(result.curves) == 4


def test_the_same_seed_gives_the_same_bits_whatever_ran_before() -> None:
    first = trained(replace(SETTINGS, seed=3), student_width=4)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    second = trained(replace(SETTINGS, seed=3), student_width=4)
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"
    assert first.curves == second.curves
    weights = second.module.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.module.state_dict().items())
    assert first.curves != trained(replace(SETTINGS, seed=4), student_width=4).curves


def test_quiz_scores_are_the_true_class_probabilities_of_the_teachers_vectors() -> None:
    result = trained(SETTINGS)
    quiz = rows(40, 0)
    with torch.no_grad():
        expected = true_class_score(result.module(quiz.teacher), quiz.labels, "single")
    assert torch.equal(result.quiz_scores, expected) and not result.module.training


def test_the_candidates_of_a_choice_stay_together() -> None:
    result = train_meta_teacher(
        rows(40, 0, choices=2),
        rows(30, 1, choices=2),
        torch.zeros(1, WIDTH),
        None,
        kind="choice",
        choices=2,
        settings=replace(SETTINGS, learning_rate=1e-2),
        accelerator=Accelerator(cpu=True),
    )
    selection = rows(30, 1, choices=2)
    right = (result.module(selection.teacher).argmax(-1) == selection.labels).float().mean()
    assert right > 0.85 and result.quiz_scores.shape == (40,)


def test_a_regression_of_16_bit_vectors_trains() -> None:
    def regression(seed: int) -> PooledRows:
        drawn = rows(40, seed)
        return PooledRows(drawn.teacher.half(), drawn.student.half(), (drawn.teacher @ RULE).clamp(-3, 3))

    result = train_meta_teacher(
        regression(0),
        regression(1),
        torch.zeros(1, WIDTH),
        torch.zeros(1),
        kind="regression",
        settings=replace(SETTINGS, loss="competitive", learning_rate=3e-2, label_range=(-3.0, 3.0)),
        accelerator=Accelerator(cpu=True),
    )
    assert result.best_epoch > 0 and (result.quiz_scores <= 0).all()
