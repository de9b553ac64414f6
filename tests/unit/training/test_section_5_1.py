"""MetaDistil's two shares (its section 5.1) tell a teacher that never moves from one that does."""

import pytest
import torch
from default_methods import MetaDistil
from small_networks import small
from tiny_problem import SPEC, TARGET, Splits, accelerator, settings, splits

from data.batches import Batch
from methods.finetune import Finetune
from methods.interface import LossInputs
from models.classifier import Classifier
from models.model_outputs import Outputs
from training.co_training import JointSettings, JointSplits, train_jointly
from training.supervised import train

SHARES = ("train_real_beats_pilot", "train_teacher_comes_nearer")


def finetuned(network: Classifier, given: Splits, epochs: int, shift: int) -> Classifier:
    """After some epochs on labels that are moved on by `shift` classes: 0 is right, 1 is all wrong."""

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        return Finetune().loss(LossInputs(outputs, None, (batch.labels + shift) % 3, TARGET.kind))

    train(
        network,
        given.train,
        given.selection,
        TARGET,
        lambda epoch: loss,
        settings(epochs=epochs, learning_rate=5e-3),
        accelerator=accelerator(),
        may_be_kept=lambda epoch: epoch == epochs,
    )
    return network


def shares(teacher_rate: float, *, same_masks: bool) -> list[float]:
    """Both, over 12 steps of a student that is right and a teacher that was taught wrong."""
    given = splits()
    torch.manual_seed(1)
    student = finetuned(small("bert", SPEC, layers=2, seed=11), given, epochs=8, shift=0)
    teacher = finetuned(small("bert", SPEC, layers=3, seed=5), given, epochs=4, shift=1)
    run = train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        MetaDistil(analysis_every=1, same_masks=same_masks),
        JointSettings(settings(epochs=4, learning_rate=1e-4), settings(learning_rate=teacher_rate), quiz_batch_size=10),
        accelerator=accelerator(),
        title="shares",
    )
    return [sum(row[name] for row in run.curves) / len(run.curves) for name in SHARES]


@pytest.mark.parametrize("same_masks", [False, True])
def test_of_a_teacher_that_never_moves_every_step_is_a_tie_and_counts_one_half(same_masks: bool) -> None:
    assert shares(0.0, same_masks=same_masks) == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize("same_masks", [False, True])
def test_of_a_teacher_that_moves_they_say_so(same_masks: bool) -> None:
    """The student knows better than the teacher, so that what lowers the quiz loss also draws the teacher to it."""
    beats, nearer = shares(3e-4, same_masks=same_masks)
    assert beats > 0.9 and nearer > 0.9
