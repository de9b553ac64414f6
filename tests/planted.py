"""The planted problem: one useful dataset in disguise among noise, small enough for a curriculum in a second.

The target has 64 training rows of 20 numbers; a hidden network of one layer decides which of them are positive.
The *disguise* has 400 rows of the same question, its classes under other names (the labels are swapped, so only the
shared layers can profit). Four datasets of 400 rows have labels drawn by a coin. A policy that learns must find out
that the disguise is worth more than the noise; accuracy on fresh rows shows whether that helped. The student comes
in as stage 2 leaves one: trained on the target alone, its best pass on selection kept, the other heads untrained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from data.batches import Batch
from epoch_choice import BY_LOSS
from methods.task_loss import task_loss
from models.model_outputs import Outputs
from training.curriculum.episodes import run_curriculum
from training.curriculum.types import (
    NOTHING,
    Additions,
    CurriculumResult,
    CurriculumSettings,
    Distillation,
    Probe,
    QuizDataset,
    SelectionScores,
    TargetQuiz,
)
from training.resume import Checkpoints
from training.resume_files import State

WIDTH = 20
HIDDEN = 8
"""Units of the hidden rule: with fewer, uniform sampling learns it nearly as well as the disguise alone."""
PASSES = 40
NOISE = ("noise_1", "noise_2", "noise_3", "noise_4")
NAMES = ("target", "disguise", *NOISE)


@dataclass(frozen=True)
class Rows:
    """inputs (N, 20), labels (N,), and the names of the rows."""

    inputs: Tensor
    labels: Tensor
    name: str

    def batch(self, rows: Tensor) -> Batch:
        return Batch(inputs={"x": self.inputs[rows]}, labels=self.labels[rows], rows=rows, choices=1)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(f"{self.name}-{row}" for row in range(len(self.labels)))


@dataclass
class Shuffled:
    """Batches without end: the rows in a new order on every pass."""

    rows: Rows
    generator: torch.Generator
    size: int = 8
    _left: list[Tensor] = field(default_factory=list)

    def next_batch(self) -> Batch:
        if not self._left:
            self._left = list(torch.randperm(len(self.rows.labels), generator=self.generator).split(self.size))
        return self.rows.batch(self._left.pop(0))

    def state_dict(self) -> State:
        return {"generator": self.generator.get_state(), "left": list(self._left)}

    def load_state_dict(self, state: State) -> None:
        self.generator.set_state(cast(Tensor, state["generator"]))
        self._left = cast(list[Tensor], state["left"])


class Question:
    """The hidden rule, and rows that it answers: 20 normal numbers -> 0 or 1, about as often."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self._first = torch.randn(WIDTH, HIDDEN, generator=self.generator) / WIDTH**0.5
        self._second = torch.randn(HIDDEN, generator=self.generator)

    def margin(self, inputs: Tensor) -> Tensor:
        """(N, 20) -> (N,); positive rows are of class 1. Odd in its inputs, so that the classes are balanced."""
        return torch.tanh(2 * inputs @ self._first) @ self._second

    def rows(self, count: int, name: str) -> Rows:
        inputs = torch.randn(count, WIDTH, generator=self.generator)
        return Rows(inputs, (self.margin(inputs) > 0).long(), name)

    def noise(self, count: int, name: str) -> Rows:
        inputs = torch.randn(count, WIDTH, generator=self.generator)
        return Rows(inputs, torch.randint(2, (count,), generator=self.generator), name)


class TinyStudent(nn.Module):
    """Two shared layers and a head each, with the call contract of `models.classifier.Classifier`."""

    def __init__(self, names: Sequence[str] = NAMES, *, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, width)
        self.pooler = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(width, 2) for name in names})

    def forward(
        self, inputs: dict[str, Tensor], *, dataset: str, choices: int = 1, layers: Sequence[int] = ()
    ) -> Outputs:
        pooled = self.dropout(torch.tanh(self.pooler(torch.relu(self.first(inputs["x"])))))
        return Outputs(logits=self.heads[dataset](pooled), pooled=pooled, vectors={})

    def state_weight(self) -> Tensor | None:
        return self.pooler.weight


@dataclass(frozen=True)
class Planted:
    """One draw of the problem: everything `run_curriculum` asks for, and fresh rows to judge it by."""

    student: TinyStudent
    datasets: list[QuizDataset]
    target: TargetQuiz
    probe: Probe
    selection: Rows
    test: Rows

    def selection_scores(self) -> dict[str, float]:
        with torch.no_grad():
            outputs = self.student({"x": self.selection.inputs}, dataset="target")
        return {"loss": task_loss(outputs.logits, self.selection.labels, "single").item()}

    def accuracy(self) -> float:
        """On 2,000 rows that nobody has seen."""
        self.student.eval()
        with torch.no_grad():
            outputs = self.student({"x": self.test.inputs}, dataset="target")
        return (outputs.logits.argmax(-1) == self.test.labels).float().mean().item()


def plant(seed: int, *, passes: int = PASSES) -> Planted:
    """A new draw of the rule, the rows and the student's start. The probe is also what selects the episode."""
    question = Question(seed)
    target, disguise = question.rows(64, "target"), question.rows(400, "disguise")
    quiz = {"target": target, "disguise": Rows(disguise.inputs, 1 - disguise.labels, "disguise")}
    quiz |= {name: question.noise(400, name) for name in NOISE}
    fresh, test = question.rows(64, "fresh"), question.rows(2000, "test")
    torch.manual_seed(seed)
    # A meta-teacher that knows the rule and is unsure near its border.
    right = torch.sigmoid(2 * question.margin(target.inputs).abs())
    student = TinyStudent()
    study(student, target, fresh, passes=passes)
    return Planted(
        student=student,
        datasets=[
            QuizDataset(name, "single", Shuffled(rows, torch.Generator().manual_seed(seed * 100 + place)))
            for place, (name, rows) in enumerate(quiz.items())
        ],
        target=TargetQuiz("target", one_pass(target, seed), right, target.ids),
        probe=Probe([fresh.batch(torch.arange(64))], fresh.ids),
        selection=fresh,
        test=test,
    )


def study(student: TinyStudent, rows: Rows, selection: Rows, *, passes: int) -> None:
    """Do stage 2 as before a curriculum: train on the target, keep the best pass on selection."""
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    best_loss, best = float("inf"), student.state_dict()
    for _ in range(passes):
        student.train()
        for part in torch.randperm(len(rows.labels)).split(8):
            optimizer.zero_grad()
            task_loss(
                student({"x": rows.inputs[part]}, dataset="target").logits, rows.labels[part], "single"
            ).backward()
            optimizer.step()
        student.eval()
        with torch.no_grad():
            outputs = student({"x": selection.inputs}, dataset="target")
            loss = task_loss(outputs.logits, selection.labels, "single").item()
        if loss < best_loss:
            best_loss, best = loss, {name: value.clone() for name, value in student.state_dict().items()}
    student.load_state_dict(best)


def one_pass(rows: Rows, seed: int) -> Callable[[int], list[Batch]]:
    """Passes over the target's quiz rows, in an order that the episode's number decides."""

    def batches(episode: int) -> list[Batch]:
        generator = torch.Generator().manual_seed(seed * 10_000 + episode)
        return [rows.batch(part) for part in torch.randperm(len(rows.labels), generator=generator).split(8)]

    return batches


SETTINGS = CurriculumSettings(
    episodes=2,
    max_steps_per_episode=None,
    update="step",
    sampler="policy",
    reward="binary",
    credit=None,
    student_lr=1e-3,
    weight_decay=0.01,
    clip_norm=1.0,
    choice=BY_LOSS,
    seed=0,
    patience=None,
    gain_steps=1,
)
"""Two episodes by the paper's text, with a learning rate for small networks."""


def run(
    planted: Planted,
    settings: CurriculumSettings,
    *,
    probe: bool = True,
    datasets: Sequence[QuizDataset] | None = None,
    distillation: Distillation | None = None,
    scores: SelectionScores | None = None,
    additions: Additions = NOTHING,
    checkpoints: Checkpoints | None = None,
) -> CurriculumResult:
    """Stage 4 on the planted problem, by the project's own code."""
    return run_curriculum(
        planted.student,
        planted.datasets if datasets is None else datasets,
        planted.target,
        scores or planted.selection_scores,
        settings=settings,
        accelerator=Accelerator(cpu=True),
        probe=planted.probe if probe else None,
        distillation=distillation,
        additions=additions,
        checkpoints=checkpoints,
    )
