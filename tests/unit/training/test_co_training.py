"""The loop that trains both networks: what it keeps, logs and repeats, and when it stops."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from default_methods import Dml, Lgtm, MetaDistil, PesfKd
from tiny_problem import CPU, TARGET, accelerator, networks, settings, signals, splits

from data.batches import draw_rows
from methods import dml
from methods.co_training import MovingTeacher, Pair, TrainingBatch
from methods.interface import Needs
from models.classifier import Classifier
from seeds import named
from training.co_training import JointRun, JointSettings, JointSplits, StoredTeacher, train_jointly
from training.quiz_batches import QuizBatches
from training.supervised import Diverged, score


def joint(method: MovingTeacher, *, epochs: int = 3, rate: float = 2e-3) -> tuple[JointRun, Classifier, Classifier]:
    """A run on the tiny problem, and both networks as it left them."""
    (student, teacher), given = networks(), splits()
    torch.manual_seed(1)
    run = train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        method,
        JointSettings(settings(epochs=epochs, learning_rate=rate), settings(learning_rate=1e-3), quiz_batch_size=4),
        accelerator=accelerator(),
        title="joint",
    )
    return run, student, teacher


def selection_loss(network: Classifier) -> float:
    return score(network, splits().selection, TARGET, batch_size=32, device=CPU)["loss"]


@dataclass
class Noted:
    """A method that trains nothing: it notes what the loop hands it."""

    losses: list[float] = field(default_factory=lambda: [1.0] * 99)
    progress: list[float] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    training: list[bool] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)

    @property
    def needs(self) -> Needs:
        return Needs(teacher="moves")

    @property
    def teacher_starts(self) -> str:
        return "finetuned"

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        self.progress.append(pair.progress)
        self.rows.append(batch.rows.tolist())
        self.training.append(pair.student.network.training and pair.teacher.network.training)
        self.rates.append((pair.student.rate, pair.teacher.rate))
        for learner in (pair.student, pair.teacher):
            learner.optimizer.step()
        return {"loss": self.losses[len(self.rows) - 1], **({"seldom": 2.0} if len(self.rows) == 1 else {})}


@dataclass(frozen=True)
class SpoilsTheEnd(dml.Dml):
    """dml, whose student forgets everything in the last third of the training."""

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        values = super().step(pair, batch, quiz)
        if pair.progress >= 2 / 3:
            with torch.no_grad():
                pair.student.network.head.weight.mul_(-10)
        return values


def test_the_student_ends_with_its_best_epoch_on_selection() -> None:
    run, student, _ = joint(SpoilsTheEnd(1.0, "pretrained", same_masks=False))
    losses = [row["selection_loss"] for row in run.curves]
    best = [int(row["best"]) for row in run.curves]
    assert best.index(1) == losses.index(min(losses)) < 2 and sum(best) == 1
    assert selection_loss(student) == pytest.approx(min(losses), rel=1e-6)


def test_the_teachers_selection_scores_are_logged_and_it_ends_as_its_last_step_left_it() -> None:
    run, _, teacher = joint(Dml())
    assert all({"teacher_selection_loss", "teacher_selection_accuracy"} <= set(row) for row in run.curves)
    assert len({row["teacher_selection_loss"] for row in run.curves}) == 3
    assert selection_loss(teacher) == pytest.approx(run.curves[-1]["teacher_selection_loss"], rel=1e-6)


def test_both_networks_updates_are_counted() -> None:
    run, _, _ = joint(MetaDistil(teacher_warmup=0.3))
    assert (run.student_updates, run.teacher_updates) == (9, 6)
    kept = [row["best"] for row in run.curves].index(1) + 1
    assert run.kept_updates == 3 * kept


def test_quiz_rows_count_once_and_only_where_a_teacher_asks_for_them() -> None:
    rows = {quiz_batches: joint(MetaDistil(quiz_batches=quiz_batches))[0].feedback_rows for quiz_batches in (1, 2)}
    assert rows == {1: 10, 2: 10}
    assert joint(Dml())[0].feedback_rows == 0


@pytest.mark.parametrize("method", [Lgtm(), MetaDistil(quiz_batches=2)], ids=["lgtm", "metadistil"])
def test_two_runs_are_the_same_bit_for_bit(method: MovingTeacher) -> None:
    first, second = joint(method, epochs=2), joint(method, epochs=2)
    assert first[0] == second[0]
    for one, other in zip(first[1:], second[1:], strict=True):
        assert all(torch.equal(*both) for both in zip(one.parameters(), other.parameters(), strict=True))


def test_every_row_is_seen_once_an_epoch_by_networks_in_training_mode() -> None:
    noted = Noted()
    joint(noted, epochs=2)
    for epoch in (noted.rows[:3], noted.rows[3:]):
        assert sorted(row for rows in epoch for row in rows) == list(range(24))
    assert noted.rows[:3] != noted.rows[3:]
    assert all(noted.training)
    assert noted.progress == pytest.approx([step / 6 for step in range(6)])


def test_both_learning_rates_fall_side_by_side() -> None:
    noted = Noted()
    joint(noted, epochs=2)
    falling = [1 - step / 6 for step in range(6)]
    assert [rate for rate, _ in noted.rates] == pytest.approx([2e-3 * share for share in falling])
    assert [rate for _, rate in noted.rates] == pytest.approx([1e-3 * share for share in falling])


def test_a_figure_that_some_steps_lack_is_the_mean_of_those_that_have_it() -> None:
    noted = Noted(losses=[1.0, 2.0, 6.0])
    run, _, _ = joint(noted, epochs=1)
    assert run.curves[0]["train_loss"] == 3.0
    assert run.curves[0]["train_seldom"] == 2.0


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run(loss: float) -> None:
    with pytest.raises(Diverged, match=r"joint, epoch 2/3, step 2: the loss is .*; lower a learning rate"):
        joint(Noted(losses=[1.0, 1.0, 1.0, 1.0, loss]))


def test_quiz_batches_never_end_and_are_the_same_for_a_seed() -> None:
    def drawn(seed: int) -> list[list[int]]:
        batches = QuizBatches(splits().quiz, 4, seed=seed, first=1)
        return [batches.next_batch().rows.tolist() for _ in range(9)]

    first = drawn(1)
    for start in (0, 3, 6):
        assert sorted(row for rows in first[start : start + 3] for row in rows) == list(range(10))
    assert first[:3] != first[3:6], "a new order each time round"
    assert first == drawn(1)
    assert first != drawn(2)


def test_a_teacher_with_a_frozen_backbone_is_scored_as_if_it_had_run() -> None:
    (student, teacher), given = networks(), splits()
    stored = StoredTeacher(*[signals(teacher, rows, layers=()) for rows in (given.train, given.selection)])
    before = [value.clone() for value in teacher.backbone.parameters()]
    head = teacher.head_of(TARGET.name).weight.detach().clone()
    run = train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        PesfKd(),
        JointSettings(settings(epochs=1), settings(learning_rate=1e-2), quiz_batch_size=4),
        accelerator=accelerator(),
        title="stored",
        stored=stored,
    )
    assert all(torch.equal(*both) for both in zip(before, teacher.backbone.parameters(), strict=True))
    assert not torch.equal(head, teacher.head_of(TARGET.name).weight)
    assert selection_loss(teacher) == pytest.approx(run.curves[-1]["teacher_selection_loss"], rel=1e-5)


def test_a_run_follows_the_rows_that_were_drawn_in_every_epoch() -> None:
    (student, teacher), given = networks(), splits()
    own = settings(epochs=2)
    run = train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        Lgtm(),
        JointSettings(own, settings(), quiz_batch_size=4, followed_rows=5),
        accelerator=accelerator(),
        title="followed",
    )
    drawn = draw_rows(24, 5, named(own.seed, "followed rows"))
    assert sorted(int(one["row"]) for one in run.influence) == sorted([*drawn, *drawn])
    assert drawn != list(range(5)), "not the first rows of the file"
