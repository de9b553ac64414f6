"""The loop of the methods whose teacher moves: both networks train, the student's best epoch on selection is kept."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from methods.joint import Learner, MovingTeacher, Pair, Seen
from models.classifier import Classifier
from training.loop import BestEpoch, Diverged, Target, TrainingSettings, make_optimizer, make_schedule, score
from training.metrics import compute_metrics
from training.progress import watched
from training.signals import Signals


@dataclass(frozen=True)
class JointSettings:
    """Two supervised runs side by side; epochs, batch size and seed are the student's."""

    student: TrainingSettings
    teacher: TrainingSettings
    quiz_batch_size: int


@dataclass(frozen=True)
class JointSplits:
    """train teaches, quiz gives the teacher feedback, selection chooses the student's epoch."""

    train: TokenSplit
    quiz: TokenSplit
    selection: TokenSplit


@dataclass(frozen=True)
class StoredTeacher:
    """What a teacher with a frozen backbone says: its pooled vectors of both splits. Only its head then trains and runs."""

    train: Signals
    selection: Signals


@dataclass(frozen=True)
class JointRun:
    """What a joint training leaves beside the student's weights."""

    curves: list[dict[str, float]]
    """One row an epoch: the method's figures (means over steps), selection scores of student and teacher, best."""
    influence: list[dict[str, float]]
    """Single rows over time, where the method keeps them."""
    student_updates: int
    teacher_updates: int


def train_jointly(
    student: Classifier,
    teacher: Classifier,
    splits: JointSplits,
    target: Target,
    method: MovingTeacher,
    settings: JointSettings,
    *,
    accelerator: Accelerator,
    title: str,
    stored: StoredTeacher | None = None,
) -> JointRun:
    """Train both in place; the student ends with its best epoch's weights, the teacher as its last step left it.

    With `stored`, the teacher's backbone is frozen. Raises Diverged where the student's loss is no number any more.
    """
    own, rows = settings.student, len(splits.train)
    pair = _pair(student, teacher, target, settings, accelerator, stored)
    schedules = [make_schedule(learner.optimizer, own, rows) for learner in (pair.student, pair.teacher)]
    quiz = quiz_batches(splits.quiz, settings.quiz_batch_size, own.seed, accelerator.device)
    best = BestEpoch(student)
    on_selection = partial(
        score, split=splits.selection, target=target, batch_size=own.eval_batch_size, device=accelerator.device
    )
    for epoch in range(1, own.epochs + 1):
        student.train()
        teacher.train()
        order = batch_order(splits.train.lengths, own.batch_size, seed=own.seed, epoch=epoch, shuffle=True)
        steps: list[dict[str, float]] = []
        for indices in watched(order, total=len(order), title=f"{title}, epoch {epoch}/{own.epochs}", unit="steps"):
            batch = collate(splits.train, indices).to(accelerator.device)
            pair.progress = (epoch - 1 + len(steps) / len(order)) / own.epochs
            with accelerator.autocast():
                steps.append(method.step(pair, batch, quiz))
            if not steps[-1]["loss"] - steps[-1]["loss"] == 0:
                raise Diverged(f"{title}, epoch {epoch}: the loss is {steps[-1]['loss']}; lower a learning rate")
            for schedule in schedules:
                schedule.step()
        row = {"epoch": float(epoch), "learning_rate": float(schedules[0].get_last_lr()[0]), **_means(steps)}
        theirs = (
            on_selection(teacher) if stored is None else score_head(teacher, stored.selection, splits.selection, target)
        )
        row |= {f"teacher_selection_{name}": value for name, value in theirs.items()}
        best.add(row, on_selection(student))
    return JointRun(best.restored(), pair.influence, pair.student.updates, pair.teacher.updates)


def quiz_batches(split: TokenSplit, batch_size: int, seed: int, device: torch.device) -> Iterator[Batch]:
    """Batches of the quiz rows without end, reshuffled each time round."""
    for epoch in itertools.count(1):
        for indices in batch_order(split.lengths, batch_size, seed=seed + 1, epoch=epoch, shuffle=True):
            yield collate(split, indices).to(device)


@torch.no_grad()
def score_head(teacher: Classifier, stored: Signals, split: TokenSplit, target: Target) -> dict[str, float]:
    """Mean task loss and metrics of a split, by the teacher's head on stored pooled vectors."""
    head = teacher.head_of(target.name)
    logits = head(stored.pooled.to(head.weight.device)).reshape(len(split), -1).cpu().numpy()
    return compute_metrics(("loss", *target.metrics), logits, split.labels, target.kind)


def _pair(
    student: Classifier,
    teacher: Classifier,
    target: Target,
    settings: JointSettings,
    accelerator: Accelerator,
    stored: StoredTeacher | None,
) -> Pair:
    ours = _learner(student, settings.student, accelerator)
    if stored is None:
        return Pair(ours, _learner(teacher, settings.teacher, accelerator), target.name, target.kind)
    teacher.backbone.requires_grad_(False)
    theirs = _learner(teacher, settings.teacher, accelerator)
    theirs.stored = lambda rows: stored.train.of_rows(rows).pooled
    return Pair(ours, theirs, target.name, target.kind)


def _learner(network: Classifier, settings: TrainingSettings, accelerator: Accelerator) -> Learner:
    def average(tensors: Sequence[Tensor]) -> None:
        if accelerator.num_processes > 1:
            for tensor in tensors:
                tensor.copy_(accelerator.reduce(tensor, reduction="mean"))

    seen = Seen(network)
    optimizer = make_optimizer(seen, settings.learning_rate, settings.weight_decay)
    return Learner(seen, optimizer, settings.clip_norm, average)


def _means(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each figure's mean over the steps that have it."""
    names = sorted({name for values in steps for name in values})
    found = {name: [values[name] for values in steps if name in values] for name in names}
    return {f"train_{name}": sum(values) / len(values) for name, values in found.items()}
