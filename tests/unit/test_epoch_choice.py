"""The epoch that is kept: by the loss, by the primary metric, or by that with its ties settled by the loss."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tiny_problem import TARGET, accelerator, networks, settings, splits

from epoch_choice import SelectedBy, SelectionRule
from methods.finetune import Finetune
from methods.interface import LossInputs
from tests.planted import SETTINGS, plant, run
from training.supervised import BestEpoch, train

# Loss and accuracy of five epochs: the loss is least in the third, the accuracy most in the fourth and the fifth.
EPOCHS = [(0.9, 0.50), (0.7, 0.60), (0.5, 0.67), (0.6, 0.73), (0.55, 0.73)]


def chosen(choice: SelectionRule, epochs: Sequence[tuple[float, float]], metric: str = "accuracy") -> int:
    """The epoch, from 1, that a run with these scores ends with."""
    model = torch.nn.Linear(1, 1)
    best = BestEpoch(model, choice)
    for number, (loss, score) in enumerate(epochs, start=1):
        torch.nn.init.constant_(model.weight, number)
        best.add({"epoch": number}, {"loss": loss, metric: score})
    curves = best.restored()
    (row,) = (row for row in curves if row["best"])
    assert model.weight.item() == row["epoch"]
    return int(row["epoch"])


@pytest.mark.parametrize(("by", "epoch"), [("loss", 3), ("metric", 4), ("metric_then_loss", 5)])
def test_the_rule_decides_which_epoch_is_kept(by: SelectedBy, epoch: int) -> None:
    assert chosen(SelectionRule(by, "accuracy"), EPOCHS) == epoch


@pytest.mark.parametrize("by", ["loss", "metric", "metric_then_loss"])
def test_a_whole_tie_goes_to_the_earliest(by: SelectedBy) -> None:
    assert chosen(SelectionRule(by, "accuracy"), [(0.5, 0.6), (0.5, 0.6)]) == 1


def test_of_a_metric_that_is_an_error_the_least_is_best() -> None:
    assert chosen(SelectionRule("metric", "mse"), [(0.5, 2.0), (0.6, 1.0), (0.4, 3.0)], "mse") == 2


@pytest.mark.parametrize("by", ["loss", "metric", "metric_then_loss"])
def test_a_training_keeps_the_epoch_that_its_settings_choose(by: SelectedBy) -> None:
    student, given = networks()[0], splits()
    curves = train(
        student,
        given.train,
        given.selection,
        TARGET,
        lambda epoch: lambda outputs, batch: Finetune().loss(LossInputs(outputs, None, batch.labels, TARGET.kind)),
        settings(epochs=6, learning_rate=2e-2, selected_by=by),
        accelerator=accelerator(),
    )
    kept = next(row for row in curves if row["best"])
    losses, accuracies = ([row[f"selection_{name}"] for row in curves] for name in ("loss", "accuracy"))
    assert len(set(accuracies)) < len(accuracies), "no tie to settle: another seed"
    if by == "loss":
        assert kept["selection_loss"] == min(losses)
        return
    best = [row for row in curves if row["selection_accuracy"] == max(accuracies)]
    assert kept == (best[0] if by == "metric" else min(best, key=lambda row: row["selection_loss"]))


@pytest.mark.parametrize(("by", "episode"), [("loss", 3), ("metric", 4), ("metric_then_loss", 5)])
def test_the_rule_decides_which_episode_is_kept(by: SelectedBy, episode: int) -> None:
    told = iter([(0.8, 0.4), *EPOCHS])  # episode 0 is the student that came in

    def scores() -> dict[str, float]:
        return dict(zip(("loss", "accuracy"), next(told), strict=True))

    settings = replace(
        SETTINGS, episodes=5, max_steps_per_episode=1, student_lr=3e-5, choice=SelectionRule(by, "accuracy")
    )
    found = run(plant(0, passes=1), settings, scores=scores)
    assert found.best_episode == episode
    assert [row["episode"] for row in found.episodes if row["best"]] == [episode]


@pytest.mark.parametrize(("by", "seed"), [("loss", 7), ("metric", 1), ("metric_then_loss", 3)])
def test_the_best_seed_is_chosen_by_the_rule_that_chose_its_epoch(by: SelectedBy, seed: int) -> None:
    scores = {
        1: {"loss": 0.6, "accuracy": 0.8},
        3: {"loss": 0.5, "accuracy": 0.8},
        7: {"loss": 0.4, "accuracy": 0.7},
        9: {"loss": 0.4, "accuracy": 0.7},
    }
    assert SelectionRule(by, "accuracy").best(scores) == seed
