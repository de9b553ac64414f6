"""Stage 4: what is ours and off in the presets: gains over several steps, patience, steps on the target, warmed heads."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from data.batches import Batch
from methods.task_loss import per_row_task_loss, task_loss
from models.model_outputs import Outputs
from tests.planted import NAMES, SETTINGS, Planted, Rows, Shuffled, plant, run
from training.curriculum.types import (
    Additions,
    Distillation,
    HeadWarming,
    QuizDataset,
    TargetTraining,
)

GAIN = replace(SETTINGS, episodes=3, reward="gain", weight_decay=0.0)


def probe_loss(planted: Planted) -> float:
    """Mean task loss of the probe in eval mode; the student's mode is put back."""
    training = planted.student.training
    planted.student.eval()
    with torch.no_grad():
        losses = [
            per_row_task_loss(planted.student(batch.inputs, dataset="target").logits, batch.labels, "single")
            for batch in planted.probe.batches
        ]
    planted.student.train(training)
    return torch.cat(losses).mean().item()


def own_rows(planted: Planted, steps: int, loss: Callable[..., dict[str, Tensor]] | None = None) -> TargetTraining:
    """Steps on 32 rows of the planted question that are in no quiz."""
    rows = replace(planted.test, inputs=planted.test.inputs[:32], labels=planted.test.labels[:32])
    dataset = QuizDataset("target", "single", Shuffled(rows, torch.Generator().manual_seed(3)))
    return TargetTraining(dataset, steps, None if loss is None else Distillation(loss))


def rows_of(dataset: QuizDataset) -> Rows:
    return cast(Shuffled, dataset.batches).rows


def on_its_own_rows(planted: Planted, steps: int = 60, learning_rate: float = 1e-2) -> HeadWarming:
    """A warming of all heads but the target's."""
    datasets = [
        replace(one, batches=Shuffled(rows_of(one), torch.Generator().manual_seed(4)))
        for one in planted.datasets
        if one.name != "target"
    ]
    return HeadWarming(datasets, steps, learning_rate)


def test_a_dataset_is_kept_for_so_many_steps_and_its_reward_stands_at_the_last() -> None:
    rows = run(plant(0, passes=1), replace(GAIN, gain_steps=3)).steps
    for number in (1, 2, 3):
        episode = [row for row in rows if row["episode"] == number]
        assert [row["reward"] is None for row in episode] == [True, True, False, True, True, False, True, False]
        for held in (episode[0:3], episode[3:6], episode[6:8]):
            assert len({(row["action"], row["log_probability"], row["probability_disguise"]) for row in held}) == 1
        credited = [row for row in episode if row["reward"] is not None]
        assert [row["return"] for row in credited] == [row["reward"] for row in credited]
        assert all((row["return"] is None) is (row["reward"] is None) for row in episode)
    assert len({row["action"] for row in rows}) > 1


def test_a_gain_over_several_steps_is_the_sum_of_theirs() -> None:
    single, held = (run(plant(0, passes=1), replace(GAIN, sampler="target", gain_steps=steps)) for steps in (1, 4))
    gains = [float(row["reward"] or 0) for row in single.steps]
    sums = [sum(gains[start : start + 4]) for start in range(0, len(gains), 4)]
    assert [row["reward"] for row in held.steps if row["reward"] is not None] == pytest.approx(sums, abs=1e-6)
    assert [row["loss"] for row in held.steps] == [row["loss"] for row in single.steps]
    assert held.episodes[1]["reward"] == pytest.approx(sum(gains[:8]) / 2, abs=1e-6)


@pytest.mark.parametrize("patience", [1, 2])
def test_a_curriculum_ends_so_many_episodes_after_its_best_and_is_the_beginning_of_the_whole(patience: int) -> None:
    losses = [0.9, 0.8, 0.85, 0.7, 0.75, 0.76, 0.6]

    def play(asked: int | None) -> tuple[list[float], int]:
        scores = iter(losses)
        settings = replace(GAIN, episodes=6, max_steps_per_episode=1, patience=asked)
        result = run(plant(0, passes=1), settings, scores=lambda: {"loss": next(scores)})
        return [float(row["selection_loss"] or 0) for row in result.episodes], result.best_episode

    assert play(None) == (losses, 6)
    assert play(patience) == ((losses[:3], 1) if patience == 1 else (losses[:6], 3))


def test_steps_on_the_targets_train_rows_follow_each_action_and_are_not_in_its_gain() -> None:
    planted, before, after, count = plant(0, passes=1), list[float](), list[float](), 2

    def loss(outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        if len(before) > len(after):  # the first of both steps
            after.append(probe_loss(planted))
        return {"loss": task_loss(outputs.logits, batch.labels, "single")}

    for dataset in planted.datasets:
        given = dataset.batches.next_batch

        def next_batch(given: Callable[[], Batch] = given) -> Batch:
            before.append(probe_loss(planted))
            return given()

        dataset.batches.next_batch = next_batch  # ty: ignore[invalid-assignment]
    result = run(planted, GAIN, additions=Additions(own_rows(planted, count, loss)))
    gains = [first - last for first, last in zip(before, after, strict=True)]
    assert [row["reward"] for row in result.steps] == pytest.approx(gains, abs=1e-6)
    assert sum(gains) != pytest.approx(
        before[0] - after[-1], abs=1e-3
    )  # what the steps on the target brought is left out
    assert all(float(row["target_loss"] or 0) > 0 for row in result.steps)
    assert float(result.episodes[1]["target_loss"] or 0) > 0 and "target_loss" not in result.episodes[0]


def test_steps_on_the_target_without_a_distillation_are_by_the_task_loss_and_help_it() -> None:
    def fallen(steps: int) -> float:
        planted = plant(0, passes=1)
        settings = replace(GAIN, sampler="uniform", episodes=6)
        run(planted, settings, additions=Additions(own_rows(planted, steps) if steps else None))
        return planted.selection_scores()["loss"]

    assert fallen(3) < fallen(0)


def test_warmed_heads_know_their_datasets_and_nothing_else_has_changed() -> None:
    planted = plant(0, passes=1)
    came_in = {name: value.clone() for name, value in planted.student.state_dict().items()}
    warming = on_its_own_rows(planted)
    torch.manual_seed(7)
    drawn = torch.get_rng_state()
    seen: list[dict[str, Tensor]] = []

    def scores() -> dict[str, float]:
        if not seen:
            assert torch.equal(torch.get_rng_state(), drawn)
            seen.append({name: value.clone() for name, value in planted.student.state_dict().items()})
        return planted.selection_scores()

    run(planted, replace(GAIN, episodes=1), additions=Additions(warming=warming), scores=scores)
    warmed = seen[0]
    moved = {name for name, value in warmed.items() if not torch.equal(value, came_in[name])}
    assert moved == {f"heads.{name}.{part}" for name in NAMES if name != "target" for part in ("weight", "bias")}
    assert all(parameter.requires_grad for parameter in planted.student.parameters())

    def loss_of(weights: dict[str, Tensor]) -> float:
        planted.student.load_state_dict(weights)
        rows = next(rows_of(one) for one in warming.datasets if one.name == "disguise")
        planted.student.eval()
        return task_loss(planted.student({"x": rows.inputs}, dataset="disguise").logits, rows.labels, "single").item()

    assert loss_of(warmed) < loss_of(came_in) - 0.02


def test_a_warming_leaves_the_actions_batches_alone() -> None:
    fresh = run(plant(0, passes=1), replace(GAIN, sampler="target"))
    planted = plant(0, passes=1)
    warmed = run(planted, replace(GAIN, sampler="target"), additions=Additions(warming=on_its_own_rows(planted)))
    assert fresh == warmed


@pytest.mark.parametrize(
    ("change", "target_steps", "message"),
    [
        ({"reward": "alignment", "gain_steps": 2}, 0, "use reward gain, or gain_steps: 1"),
        ({"reward": "real", "update": "episode"}, 2, "use update: step, or target_steps: 0"),
    ],
)
def test_options_that_contradict_others_are_refused(change, target_steps: int, message: str) -> None:
    planted = plant(0, passes=1)
    with pytest.raises(ValueError, match=message):
        run(planted, replace(GAIN, **change), additions=Additions(own_rows(planted, target_steps)))
