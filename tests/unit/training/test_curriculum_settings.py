"""Stage 4: samplers, kinds of dataset and of student, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from data.batches import Batch
from methods.returns import discounted_returns
from methods.task_loss import task_loss
from models.model_outputs import Outputs
from tests.planted import NAMES, SETTINGS, TinyStudent, plant, run
from training.curriculum.episodes import run_curriculum
from training.curriculum.types import Credit, Distillation
from training.supervised import Diverged


def test_every_episode_is_reported_as_it_ends() -> None:
    planted, seen = plant(0, passes=1), []
    result = run_curriculum(
        planted.student,
        planted.datasets,
        planted.target,
        planted.selection_scores,
        settings=replace(SETTINGS, max_steps_per_episode=3),
        accelerator=Accelerator(cpu=True),
        on_episode=seen.append,
    )
    assert [row["episode"] for row in seen] == [0, 1, 2] and [row["steps"] for row in seen] == [0, 3, 3]
    assert len(result.steps) == 6 and seen[0]["best"] == 1


def test_uniform_and_target_choose_without_a_policy() -> None:
    uniform = run(plant(0, passes=1), replace(SETTINGS, sampler="uniform", episodes=6))
    assert {str(row["action"]) for row in uniform.steps} == set(NAMES)
    assert {row["log_probability"] for row in uniform.steps} == {-math.log(6)}
    target = run(plant(0, passes=1), replace(SETTINGS, sampler="target"))
    assert {row["action"] for row in target.steps} == {"target"} and target.note is None


def test_one_dataset_runs_as_target_and_says_so() -> None:
    planted = plant(0, passes=1)
    result = run(planted, SETTINGS, datasets=planted.datasets[:1])
    assert result.sampler == "target" and result.note is not None and "one dataset" in result.note
    assert {row["action"] for row in result.steps} == {"target"}


def test_kd_only_takes_as_many_steps_on_the_targets_batches_with_the_given_loss() -> None:
    def doubled(outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        return {"loss": 2 * task_loss(outputs.logits, batch.labels, "single")}

    plain, doubly = (
        run(plant(0, passes=1), replace(SETTINGS, sampler=sampler, student_lr=0.0), distillation=Distillation(doubled))
        for sampler in ("uniform", "kd_only")
    )
    assert len(plain.steps) == len(doubly.steps) and {row["action"] for row in doubly.steps} == {"target"}
    own = run(plant(0, passes=1), replace(SETTINGS, sampler="target", student_lr=0.0))
    np.testing.assert_allclose(
        [row["loss"] for row in doubly.steps], [2 * float(row["loss"] or 0) for row in own.steps], rtol=1e-5
    )
    with pytest.raises(ValueError, match="kd_only"):
        run(plant(0, passes=1), replace(SETTINGS, sampler="kd_only"))


def test_a_student_without_a_square_layer_shows_the_policy_its_pooled_probe() -> None:
    class Headless(TinyStudent):
        def state_weight(self) -> Tensor | None:
            return None

    planted = replace(plant(0, passes=1), student=Headless())
    assert len(run(planted, SETTINGS).steps) == 16
    with pytest.raises(ValueError, match="needs a probe"):
        run(planted, SETTINGS, probe=False)


@pytest.mark.parametrize("reward", ["binary", "real", "gain", "alignment"])
def test_a_regression_is_trained_on_and_rewarded(reward) -> None:
    planted = plant(0, passes=1)
    planted.student.heads["target"] = nn.Linear(32, 1)
    datasets = [replace(planted.datasets[0], kind="regression"), *planted.datasets[1:]]
    target = replace(planted.target, meta_scores=-torch.rand(64))
    planted = replace(planted, target=target)
    result = run(planted, replace(SETTINGS, reward=reward), datasets=datasets, scores=lambda: {"loss": 0.0})
    assert all(math.isfinite(float(row["reward"] or 0)) for row in result.steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"update": "episode", "reward": "gain"}, "use update: step"),
        ({"update": "episode", "reward": "alignment"}, "use update: step"),
        ({"update": "batch"}, "allowed are step and episode"),
        ({"reward": "prize"}, "allowed are binary"),
        ({"sampler": "best"}, "allowed are policy"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        run(plant(0, passes=1), replace(SETTINGS, **change))


def test_gain_without_a_probe_and_a_target_outside_the_benchmark_are_refused() -> None:
    planted = plant(0, passes=1)
    with pytest.raises(ValueError, match="needs a probe"):
        run(planted, replace(SETTINGS, reward="gain"), probe=False)
    with pytest.raises(ValueError, match="must be one of the datasets"):
        run(planted, SETTINGS, datasets=planted.datasets[1:])


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    planted = plant(0, passes=1)
    with torch.no_grad():
        planted.student.first.weight.fill_(math.nan)
    with pytest.raises(Diverged, match=r"lower curriculum\.student_learning_rate"):
        run(planted, SETTINGS, scores=lambda: {"loss": 0.0})


def test_the_credit_can_be_chosen() -> None:
    credit = Credit(gamma=0.5, baseline="episode", policy_lr=1e-3)
    result = run(plant(0, passes=1), replace(SETTINGS, reward="gain", credit=credit, episodes=1))
    returns = discounted_returns([float(row["reward"] or 0) for row in result.steps], 0.5)
    assert [row["return"] for row in result.steps] == returns
    assert sum(float(row["advantage"] or 0) for row in result.steps) == pytest.approx(0.0, abs=1e-9)
