"""The loop of methods whose teacher trains: both networks train, the student's best epoch on selection is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from accelerate import Accelerator

from data.batches import Batch, batch_order, collate, draw_rows
from data.tokens import TokenSplit
from errors import UserError
from methods.co_training import Learner, MovingTeacher, Pair, ProjectedModel
from methods.interface import Lasting
from metrics import compute_metrics
from models.classifier import Classifier
from progress import watched
from seeds import named
from training.data_parallel import average, draw_own_dropout, run_shared
from training.precision import scoring_precision, training_precision
from training.quiz_batches import QuizBatches
from training.resume import Checkpoints, Resumable
from training.resume_files import State
from training.supervised import (
    BestEpoch,
    Target,
    TrainingSettings,
    check_finite,
    check_scores,
    make_optimizer,
    make_schedule,
    score,
)
from training.teacher_signals import TeacherSignals


@dataclass(frozen=True)
class JointSettings:
    """Two supervised runs side by side; epochs, patience, batch size and seed are the student's.

    `followed_rows`: how many training rows, drawn at random, are followed over time where a method does (LGTM's Fig. 4: 64).
    """

    student: TrainingSettings
    teacher: TrainingSettings
    quiz_batch_size: int
    followed_rows: int = 64


@dataclass(frozen=True)
class JointSplits:
    """The splits: train for the student, quiz for feedback to the teacher, selection for the epoch."""

    train: TokenSplit
    quiz: TokenSplit
    selection: TokenSplit


@dataclass(frozen=True)
class StoredTeacher:
    """Pooled vectors of both splits from a teacher with a frozen backbone. Only its head then trains and runs."""

    train: TeacherSignals
    selection: TeacherSignals


@dataclass(frozen=True)
class JointRun:
    """Records of a training, beside the student's weights."""

    curves: list[dict[str, float]]
    """One row per epoch: the method's values (means over steps), selection scores of student and teacher, best."""
    influence: list[dict[str, float]]
    """Records of single rows over time, if the method keeps them."""
    student_updates: int
    teacher_updates: int
    train_rows: int
    schedule: list[Lasting] = field(default_factory=list)
    """The phases of a method whose loss changes over the epochs."""
    feedback_rows: int = 0
    """Labelled rows used by the teacher only."""

    @property
    def kept_updates(self) -> int:
        """Updates of the student until the kept weights; every epoch has equally many."""
        kept = next(number for number, row in enumerate(self.curves, start=1) if row["best"])
        return self.student_updates * kept // len(self.curves)


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
    checkpoints: Checkpoints | None = None,
    stored: StoredTeacher | None = None,
) -> JointRun:
    """Train both in place; the student ends with its best epoch's weights, the teacher with its last ones.

    With `stored`, the teacher's backbone is frozen. Raises Diverged where a loss or a gradient is no number any more.
    """
    own = settings.student
    run = CoTrainingRun(student, teacher, splits, target, settings, accelerator, stored)
    with (checkpoints or Checkpoints()).watching(run) as after_step:
        while run.epoch <= own.epochs and not run.best.has_waited(own.patience):
            student.train()
            teacher.train()
            where = f"{title}, epoch {run.epoch}/{own.epochs}"
            order = batch_order(splits.train.lengths, own.batch_size, seed=own.seed, epoch=run.epoch, shuffle=True)
            done = len(run.steps)
            for indices in watched(order[done:], total=len(order), done=done, title=where, unit="steps"):
                batch = collate(splits.train, indices).to(accelerator.device)
                run.take_step(method, batch, len(order), where)
                after_step()
            run.end_epoch(where)
    return JointRun(
        run.best.restored(),
        run.pair.influence,
        student_updates=run.pair.student.updates,
        teacher_updates=run.pair.teacher.updates,
        train_rows=len(splits.train),
        feedback_rows=run.quiz_rows,
    )


class CoTrainingRun(Resumable):
    """Mutable state of training two networks: the content of a checkpoint, and the step."""

    PARTS = ("_networks", "_optimizers", "_schedules", "best", "_quiz")
    VALUES = ("epoch", "steps")

    def __init__(
        self,
        student: Classifier,
        teacher: Classifier,
        splits: JointSplits,
        target: Target,
        settings: JointSettings,
        accelerator: Accelerator,
        stored: StoredTeacher | None,
    ) -> None:
        own, rows = settings.student, len(splits.train)
        self.pair = _pair(student, teacher, target, settings, stored)
        self.pair.followed = frozenset(draw_rows(rows, settings.followed_rows, named(own.seed, "followed rows")))
        draw_own_dropout()
        self._learners = (self.pair.student, self.pair.teacher)
        self._networks = [learner.network for learner in self._learners]
        self._optimizers = [learner.optimizer for learner in self._learners]
        self._schedules = [make_schedule(optimizer, own, rows) for optimizer in self._optimizers]
        self._quiz = _quiz_batches(splits.quiz, settings)
        self._feedback = _feedback(self._quiz, accelerator.device)
        self._settings, self._accelerator = own, accelerator
        self._student, self._teacher, self._selection = student, teacher, splits.selection
        self._target, self._stored = target, stored
        self.best = BestEpoch(student, target.choice(own.selected_by))
        self.epoch, self.steps = 1, list[dict[str, float]]()

    @property
    def quiz_rows(self) -> int:
        """Return the number of quiz rows that the method has used."""
        return 0 if self._quiz is None else self._quiz.rows_in(self._quiz.given)

    def take_step(self, method: MovingTeacher, batch: Batch, steps: int, where: str) -> None:
        """One update of each, in an epoch of the given number of steps. Raises Diverged."""
        self.pair.progress = (self.epoch - 1 + len(self.steps) / steps) / self._settings.epochs
        with training_precision(self._accelerator):
            figures = method.step(self.pair, batch, self._feedback)
        _check_step(self.pair, figures["loss"], f"{where}, step {len(self.steps) + 1}")
        for schedule in self._schedules:
            schedule.step()
        self.steps.append(figures)

    def end_epoch(self, where: str) -> None:
        """Score both on selection and add the epoch's row. Raises Diverged."""
        size, device = self._settings.eval_batch_size, self._accelerator.device
        scored = partial(score, split=self._selection, target=self._target, batch_size=size, device=device)
        scores = scored(self._student)
        if self._stored is None:
            theirs = scored(self._teacher)
        else:
            theirs = score_head(self._teacher, self._stored.selection, self._selection, self._target)
        check_scores(scores, f"{where}, student")
        check_scores(theirs, f"{where}, teacher")
        rate = float(self._schedules[0].get_last_lr()[0])
        row = {"epoch": float(self.epoch), "learning_rate": rate, **_means(self.steps)}
        self.best.add(row | {f"teacher_selection_{name}": value for name, value in theirs.items()}, scores)
        self.epoch, self.steps = self.epoch + 1, []

    def state_dict(self) -> State:
        updates = [learner.updates for learner in self._learners]
        return super().state_dict() | {"updates": updates, "influence": self.pair.influence}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        for learner, updates in zip(self._learners, state["updates"], strict=True):
            learner.updates = updates
        self.pair.influence[:] = state["influence"]


def _quiz_batches(quiz: TokenSplit, settings: JointSettings) -> QuizBatches | None:
    if not len(quiz):
        return None
    return QuizBatches(quiz, settings.quiz_batch_size, seed=named(settings.student.seed, "quiz"), first=1)


def _feedback(quiz: QuizBatches | None, device: torch.device) -> Iterator[Batch]:
    """Endless quiz batches, for methods that need them."""
    if quiz is None:
        raise UserError("the quiz split has no rows, but a teacher learns from its student on them; raise split.quiz")
    while True:
        yield quiz.next_batch().to(device)


def _check_step(pair: Pair, loss: float, where: str) -> None:
    """Raise Diverged if the loss or an optimiser's gradient is not finite."""
    check_finite(loss, f"{where}: the loss", "lower a learning rate")
    for whose, learner in (("student", pair.student), ("teacher", pair.teacher)):
        slower = f"lower the {whose}'s learning rate ({learner.rate:g})"
        check_finite(learner.gradient_norm, f"{where}: the norm of the {whose}'s gradient", slower)


@torch.no_grad()
def score_head(teacher: Classifier, stored: TeacherSignals, split: TokenSplit, target: Target) -> dict[str, float]:
    """Mean task loss and metrics of a split, from the teacher's head on stored pooled vectors."""
    head = teacher.head_of(target.name)
    with scoring_precision(head.weight.device):
        logits = head(stored.pooled.to(head.weight.device)).reshape(len(split), -1).cpu().numpy()
    return compute_metrics(("loss", *target.metrics), logits, split.labels, target.kind)


def _pair(
    student: Classifier,
    teacher: Classifier,
    target: Target,
    settings: JointSettings,
    stored: StoredTeacher | None,
) -> Pair:
    ours = _learner(student, settings.student)
    if stored is None:
        return Pair(ours, _learner(teacher, settings.teacher), target.kind)
    teacher.backbone.requires_grad_(False)
    theirs = _learner(teacher, settings.teacher)
    theirs.stored = lambda rows: stored.train.of_rows(rows).pooled
    return Pair(ours, theirs, target.kind)


def _learner(network: Classifier, settings: TrainingSettings) -> Learner:
    seen = ProjectedModel(network, run_shared)
    optimizer = make_optimizer(seen, settings.learning_rate, settings.weight_decay)
    return Learner(seen, optimizer, settings.clip_norm, average)


def _means(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each value over the steps that have it."""
    names = sorted({name for values in steps for name in values})
    found = {name: [values[name] for values in steps if name in values] for name in names}
    return {f"train_{name}": sum(values) / len(values) for name, values in found.items()}
