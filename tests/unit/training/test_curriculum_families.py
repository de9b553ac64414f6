"""Stage 4 on the real `Classifier`: every family, pair, choice and regression datasets side by side."""

import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from small_networks import FAMILY_NAMES, batch, small
from torch import Tensor

from data.batches import Batch
from methods.curriculum_rewards import Reward
from models.classifier import Classifier
from tests.planted import SETTINGS
from training.curriculum.episodes import run_curriculum
from training.curriculum.types import Probe, QuizDataset, TargetQuiz
from training.resume_files import State

LABELS: dict[str, Tensor] = {
    "rte": torch.tensor([0, 1, 1, 0]),
    "copa": torch.tensor([1, 0]),
    "stsb": torch.tensor([0.5, 1.0, 3.0, 4.5]),
}


class Again:
    """The same four inputs for ever: four rows, or two with two candidates each."""

    def __init__(self, dataset: str) -> None:
        labels = LABELS[dataset]
        self.batch = Batch(batch([5, 9, 7, 4]), labels, torch.arange(len(labels)), 4 // len(labels))

    def next_batch(self) -> Batch:
        return self.batch

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:
        return


def student(family: str) -> Classifier:
    classifier = small(family)
    classifier.add_head("copa", 1, seed=1)
    classifier.add_head("stsb", 1, seed=2)
    return classifier


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("reward", ["real", "gain", "alignment"])
def test_every_family_goes_through_a_curriculum(family: str, reward: Reward) -> None:
    classifier, quiz = student(family), Again("rte").batch
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    scores = iter((1.0, 0.5, 0.75))
    result = run_curriculum(
        classifier,
        [
            QuizDataset("rte", "pair", Again("rte")),
            QuizDataset("copa", "choice", Again("copa")),
            QuizDataset("stsb", "regression", Again("stsb")),
        ],
        TargetQuiz("rte", lambda episode: [quiz] * 4, torch.full((4,), 0.6), frozenset({"quiz"})),
        lambda: {"loss": next(scores)},
        settings=replace(SETTINGS, reward=reward, seed=1),
        accelerator=Accelerator(cpu=True),
        probe=Probe([Again("rte").batch], frozenset({"selection"})),
    )
    assert result.best_episode == 1 and len({row["action"] for row in result.steps}) > 1
    assert all(math.isfinite(float(row["reward"] or 0)) for row in result.steps)
    after = classifier.state_dict()
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
