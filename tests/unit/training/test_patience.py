"""Training ends after so many epochs without a better one on selection, and is the beginning of one that does not."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from default_methods import Dml
from tiny_problem import TARGET, accelerator, networks, settings, splits

from data.batches import Batch
from methods.finetune import Finetune
from methods.interface import LossInputs
from models.model_outputs import Outputs
from training.co_training import JointRun, JointSettings, JointSplits, train_jointly
from training.resume import Cadence, Checkpoints
from training.resume_files import CheckpointFiles
from training.supervised import BestEpoch, train

EPOCHS = 12
STEPS = 3  # an epoch


class Broken(Exception):
    """A run that was to end in its midst."""


@dataclass
class Trained:
    """Return the result of a run, and the number of steps after which it is broken off."""

    stop: int | None = None
    curves: list[dict[str, float]] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: int = 0

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        if self.steps == self.stop:
            raise Broken
        self.steps += 1
        return Finetune().loss(LossInputs(outputs, None, batch.labels, TARGET.kind))


def trained(
    patience: int | None, *, stop: int | None = None, kept: Checkpoints | None = None, patient_from: int = 1
) -> Trained:
    found, student, given = Trained(stop), networks()[0], splits()
    torch.manual_seed(1)
    found.curves = train(
        student,
        given.train,
        given.selection,
        TARGET,
        lambda epoch: found.loss,
        settings(epochs=EPOCHS, learning_rate=2e-2, patience=patience),
        accelerator=accelerator(),
        patient_from=patient_from,
        checkpoints=kept,
    )
    found.weights = student.state_dict()
    return found


def kept_epoch(curves: list[dict[str, float]]) -> int:
    return next(number for number, row in enumerate(curves, start=1) if row["best"])


def without_best(curves: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "best"} for row in curves]


@pytest.mark.parametrize("patience", [1, 2])
def test_it_ends_so_many_epochs_after_the_best_and_is_the_beginning_of_the_whole(patience: int) -> None:
    whole, short = trained(None), trained(patience)
    assert len(whole.curves) == EPOCHS > len(short.curves), "nothing to end early: another seed"
    assert len(short.curves) == kept_epoch(short.curves) + patience
    assert without_best(short.curves) == without_best(whole.curves[: len(short.curves)])


def test_epochs_before_the_last_phase_do_not_count() -> None:
    early, late = trained(1), trained(1, patient_from=9)
    assert len(early.curves) < 8
    assert len(late.curves) >= 9


def test_patience_counts_from_the_best_or_from_the_phase() -> None:
    best = BestEpoch(torch.nn.Linear(1, 1))
    for loss in (0.5, 0.4, 0.6, 0.7):
        best.add({}, {"loss": loss})
    assert best.has_waited(2) and not best.has_waited(3) and not best.has_waited(None)
    assert best.has_waited(1, first=4) and not best.has_waited(2, first=4)


def test_a_run_with_patience_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole = trained(2)
    last = STEPS * len(whole.curves)
    for stop in (4, 2, last - 7):  # counted anew in each: within an epoch, in the next one, and shortly before the end
        with pytest.raises(Broken):
            trained(2, stop=stop, kept=_checkpoints(tmp_path))
    torch.rand(5)  # the generators stand elsewhere, as in another process
    rest = trained(2, kept=_checkpoints(tmp_path))
    assert rest.steps == 1
    assert rest.curves == whole.curves
    for name, value in whole.weights.items():
        assert torch.equal(value, rest.weights[name]), name


def _checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(CheckpointFiles(folder, {"parameters": "1"}, lambda line: None), Cadence(None, 1))


def test_a_student_whose_teacher_moves_ends_early_too() -> None:
    whole, short = jointly(None), jointly(1)
    assert len(whole.curves) == EPOCHS > len(short.curves), "nothing to end early: another seed"
    assert len(short.curves) == kept_epoch(short.curves) + 1
    assert short.student_updates == STEPS * len(short.curves)
    assert short.kept_updates == STEPS * kept_epoch(short.curves)
    assert without_best(short.curves) == without_best(whole.curves[: len(short.curves)])


def jointly(patience: int | None) -> JointRun:
    (student, teacher), given = networks(), splits()
    torch.manual_seed(1)
    return train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        Dml(),
        JointSettings(settings(epochs=EPOCHS, learning_rate=2e-2, patience=patience), settings(), quiz_batch_size=4),
        accelerator=accelerator(),
        title="",
    )
