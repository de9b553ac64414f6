"""The short seeded runs whose losses stand in tests/golden/*.json: nine steps of every method.

    OMP_NUM_THREADS=1 PYTHONPATH=.:tests python tests/golden/golden_runs.py [METHOD ...]

writes them anew, all or some. Do that only where a change of a method's losses is meant, and say why in the commit.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from default_methods import (
    AnnealingKd,
    Ckd,
    Dist,
    Dml,
    FriendlyTeacher,
    Influence,
    Kd,
    Lgtm,
    MetaDistil,
    MseKd,
    PesfKd,
    Pkd,
    ProKd,
    ProKt,
    Rco,
    Sftn,
    Skd,
    Takd,
    TinyBert,
)
from tiny_problem import TARGET, accelerator, networks, settings, signals, splits

from data.batches import Batch
from methods.co_training import MovingTeacher, Pair, TrainingBatch
from methods.finetune import Finetune
from methods.interface import LossInputs, Method, Needs, Phase, Scheduled
from models.branches import Branched
from models.model_outputs import Outputs
from training.co_training import JointSettings, JointSplits, StoredTeacher, train_jointly
from training.fixed_teacher import FixedTeacher
from training.resume import Checkpoints
from training.supervised import BatchLoss, train

FOLDER = Path(__file__).parent
LAYERS = ((1, 2), (2, 3))
FIXED: dict[str, Method | Scheduled] = {
    "finetune": Finetune(),
    "kd": Kd(0.5, 3.0),
    "mse_kd": MseKd(0.5, 10.0, 2.0, layers=LAYERS),
    "pkd": Pkd(0.5, 10.0, 2.0, layers=((1, 2),)),
    "dist": Dist(),
    "skd": Skd(),
    "annealing_kd": AnnealingKd(max_temperature=3, label_share=0.3),
    "rco": Rco(temperature=5.0, anchors=2),
    "prokd": ProKd(label_share=0.3),
    "takd": Takd(),
    "sftn": Sftn(),
    "tinybert": TinyBert(prediction_share=0.3, layers=LAYERS),
    "ckd": Ckd(window=5, layers=((0, 0), *LAYERS)),
}
MOVING: dict[str, MovingTeacher] = {
    "dml": Dml(),
    "prokt": ProKt(),
    "metadistil": MetaDistil(quiz_batches=2, beta=1.0, layers=LAYERS),
    "pesf_kd": PesfKd(),
    "lgtm": Lgtm(),
    "lgtm-weights": Lgtm(influence=Influence(form="weights"), auxiliary="cross_entropy"),
}
BRANCHED = "sftn-teacher"
NAMES = (*FIXED, *MOVING, BRANCHED)


class Stopped(Exception):
    """A run that was to end in its midst."""


@dataclass
class Run:
    """The result of a training."""

    losses: list[float] = field(default_factory=list)
    curves: list[dict[str, float]] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    stop_after: int = 10**9
    """Steps after which the run is broken off, in the next one."""

    def note(self, loss: float) -> None:
        """A step's loss; raises Stopped where the run is to be broken off."""
        if len(self.losses) == self.stop_after:
            raise Stopped
        self.losses.append(loss)


def run(name: str) -> dict[str, list[float]]:
    """The student's loss at every step, and its selection loss after every epoch."""
    found = run_whole(name)
    return {
        "loss": found.losses,
        "selection_loss": [row["selection_loss"] for row in found.curves if "selection_loss" in row],
    }


def run_whole(name: str, into: Run | None = None, checkpoints: Checkpoints | None = None) -> Run:
    """A method's whole run."""
    found = into or Run()
    if name in FIXED:
        return run_fixed(FIXED[name], found, checkpoints)
    if name == BRANCHED:
        return run_branched(found, checkpoints)
    return run_moving(MOVING[name], found, checkpoints)


def run_fixed(method: Method | Scheduled, found: Run, checkpoints: Checkpoints | None) -> Run:
    """Through the supervised loop: on the signals and a trajectory of two epochs of a random teacher, or as it runs."""
    (student, teacher), given = networks(), splits()
    said = signals(teacher, given.train, layers=(2, 3))
    runs = teacher if method.needs.teacher == "runs" else None
    fixed = FixedTeacher(said, trajectory=[0.5 * said.logits, said.logits], network=runs)

    def phase_of(epoch: int) -> Phase:
        return method.phase(epoch, 3, 2) if isinstance(method, Scheduled) else Phase("", method)

    def epoch_loss(epoch: int) -> BatchLoss:
        phase = phase_of(epoch)

        def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
            theirs = fixed.outputs(batch, phase, TARGET.name)
            parts = phase.method.loss(LossInputs(outputs, theirs, batch.labels, TARGET.kind))
            found.note(parts["loss"].item())
            return parts

        return loss

    torch.manual_seed(1)
    found.curves = train(
        student,
        given.train,
        given.selection,
        TARGET,
        epoch_loss,
        settings(),
        accelerator=accelerator(),
        layers=method.needs.student_layers,
        wider=method.needs.wider(0),
        may_be_kept=lambda epoch: phase_of(epoch).may_be_kept,
        checkpoints=checkpoints,
    )
    found.weights = student.state_dict()
    return found


def run_branched(found: Run, checkpoints: Checkpoints | None) -> Run:
    """sftn's teacher and the branches that stand on it, through the supervised loop."""
    (student, teacher), given, method = networks(), splits(), FriendlyTeacher()
    branched = Branched(teacher, student, seed=1)

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        parts = method.loss(outputs, batch.labels, TARGET.kind)
        found.note(parts["loss"].item())
        return parts

    torch.manual_seed(1)
    found.curves = train(
        branched,
        given.train,
        given.selection,
        TARGET,
        lambda epoch: loss,
        settings(),
        accelerator=accelerator(),
        checkpoints=checkpoints,
    )
    found.weights = branched.state_dict()
    return found


@dataclass
class Noting:
    """A method that notes the loss of each of its steps."""

    method: MovingTeacher
    found: Run

    @property
    def needs(self) -> Needs:
        return self.method.needs

    @property
    def teacher_starts(self) -> str:
        return self.method.teacher_starts

    def step(self, pair: Pair, batch: TrainingBatch, quiz: Iterator[TrainingBatch]) -> dict[str, float]:
        values = self.method.step(pair, batch, quiz)
        self.found.note(values["loss"])
        return values


def run_moving(method: MovingTeacher, found: Run, checkpoints: Checkpoints | None) -> Run:
    """Through the joint loop."""
    (student, teacher), given, noting = networks(), splits(), Noting(method, found)
    stored = None
    if method.needs.teacher == "head_moves":
        stored = StoredTeacher(signals(teacher, given.train, layers=()), signals(teacher, given.selection, layers=()))
    torch.manual_seed(1)
    joint = train_jointly(
        student,
        teacher,
        JointSplits(given.train, given.quiz, given.selection),
        TARGET,
        noting,
        JointSettings(settings(), settings(learning_rate=1e-3), quiz_batch_size=4),
        accelerator=accelerator(),
        title="golden",
        stored=stored,
        checkpoints=checkpoints,
    )
    found.curves = [*joint.curves, *joint.influence]
    found.weights = {
        **student.state_dict(),
        **{f"teacher.{name}": value for name, value in teacher.state_dict().items()},
    }
    return found


def main(names: list[str]) -> None:
    """Write the files."""
    torch.set_num_threads(1)
    for name in names or NAMES:
        rounded = {key: [float(f"{value:.7g}") for value in values] for key, values in run(name).items()}
        (FOLDER / f"{name}.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
        print(name, rounded["loss"])


if __name__ == "__main__":
    main(sys.argv[1:])
