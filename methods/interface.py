"""Interface of distillation methods to the training loop.

A method is a frozen dataclass of its parameters. It says what it needs from the teacher, and turns the
outputs of both models on one batch into a loss; it does not know whether the teacher ran or its stored
signals were read.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from errors import UserError
from kinds import Kind
from methods.layer_mapping import LayerPairs
from models.model_outputs import Outputs

TeacherUse = Literal["none", "signals", "trajectory", "runs", "moves", "head_moves"]


@dataclass(frozen=True)
class Needs:
    """Teacher data that a method needs: none, the stored signals, those of every teacher epoch, a teacher that
    runs, one that moves, or one whose head moves on the stored pooled vectors.

    Pairs (student layer, teacher layer) that the loss reads: `layers` of sequence vectors; of both networks as they run,
    `tokens` of all tokens' vectors and `attentions` of attention scores. `same_width`: the loss compares the vectors
    themselves, so a student of another width learns a projection.
    """

    teacher: TeacherUse
    layers: LayerPairs = ()
    pooled: bool = False
    tokens: LayerPairs = ()
    attentions: LayerPairs = ()
    same_width: bool = True

    @property
    def student_layers(self) -> tuple[int, ...]:
        """The student's layers, unique and in order: requested from its forward pass."""
        return numbers(self.layers, 0)

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        """The teacher's layers, unique and in order: required in the signals."""
        return numbers(self.layers, 1)

    def wider(self, side: Literal[0, 1]) -> dict[str, tuple[int, ...]]:
        """Further arguments of the student's (0) or the teacher's (1) forward pass, besides sequence vectors."""
        asked = {"tokens": numbers(self.tokens, side), "attentions": numbers(self.attentions, side)}
        return {name: layers for name, layers in asked.items() if layers}


def numbers(pairs: LayerPairs, side: Literal[0, 1]) -> tuple[int, ...]:
    """The student's (0) or the teacher's (1) layers of some pairs, unique and in order."""
    return tuple(sorted({pair[side] for pair in pairs}))


@dataclass(frozen=True)
class Phase:
    """The loss of a scheduled method in one epoch of the student."""

    name: str
    """Name in the records."""
    method: "Method"
    teacher_epoch: int | None = None
    """The teaching epoch of the teacher's trajectory, from 1; None: the final teacher."""
    may_be_kept: bool = True
    """True if the weights of this epoch may be kept: False while the head is untrained."""


@runtime_checkable
class Scheduled(Protocol):
    """A method whose loss changes over the student's epochs."""

    @property
    def needs(self) -> Needs: ...

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        """Epoch `epoch` (from 1) of `epochs` of the student, after a teacher trained for `teacher_epochs`."""
        ...


@dataclass(frozen=True)
class Lasting:
    """A phase and its number of student epochs."""

    phase: str
    teacher_epoch: int | None
    epochs: int


def schedule_of(method: Scheduled, epochs: int, teacher_epochs: int) -> list[Lasting]:
    """The phases of a student's training, in their order."""
    phases = [method.phase(epoch, epochs, teacher_epochs) for epoch in range(1, epochs + 1)]
    named = groupby(phases, lambda phase: (phase.name, phase.teacher_epoch))
    return [Lasting(name, teacher_epoch, len(list(same))) for (name, teacher_epoch), same in named]


@dataclass(frozen=True)
class LossInputs:
    """Inputs of a loss for one batch of B rows."""

    student: Outputs
    teacher_outputs: Outputs | None
    """None for a loss without a teacher."""
    labels: Tensor
    """(B,) class numbers, or values."""
    kind: Kind
    projection: nn.Module | None = None
    """Learned map from the student's width to the teacher's, if they differ."""

    @property
    def teacher(self) -> Outputs:
        """The teacher's outputs. Raises UserError if there are none."""
        if self.teacher_outputs is None:
            raise UserError("the method's loss needs the teacher's outputs of the batch, but got none")
        return self.teacher_outputs


class Method(Protocol):
    """A method whose teacher, if any, is fixed during a step of the student."""

    @property
    def needs(self) -> Needs: ...

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """ "loss" is the scalar to minimise; all other entries are detached parts of it, for the curves."""
        ...


def same_shape(method: str, student: Tensor, teacher: Tensor, what: str) -> None:
    """Raise UserError if two compared tensors differ in shape: broadcasting would hide it."""
    if student.shape != teacher.shape:
        raise UserError(
            f"{method}: student and teacher {what} must have one shape, but they are "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
