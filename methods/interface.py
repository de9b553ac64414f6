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
    """Demands of a method on the loop: nothing, the stored signals, those of every teacher epoch, a teacher that
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
        """The student's layers, each once, in order: what the forward of the student is asked for."""
        return numbers(self.layers, 0)

    @property
    def teacher_layers(self) -> tuple[int, ...]:
        """The teacher's layers, each once, in order: what the signals must hold."""
        return numbers(self.layers, 1)

    def wider(self, side: Literal[0, 1]) -> dict[str, tuple[int, ...]]:
        """Further arguments of the student's (0) or the teacher's (1) forward pass, beyond sequence vectors."""
        asked = {"tokens": numbers(self.tokens, side), "attentions": numbers(self.attentions, side)}
        return {name: layers for name, layers in asked.items() if layers}


def numbers(pairs: LayerPairs, side: Literal[0, 1]) -> tuple[int, ...]:
    """The student's (0) or the teacher's (1) layers of some pairs, each once, in order."""
    return tuple(sorted({pair[side] for pair in pairs}))


@dataclass(frozen=True)
class Phase:
    """The loss of a scheduled method in one epoch of the student."""

    name: str
    """For the records."""
    method: "Method"
    teacher_epoch: int | None = None
    """The epoch of the teacher's trajectory that teaches, from 1; None: the teacher as it ended."""
    may_be_kept: bool = True
    """True if the student may end with this epoch's weights: not where its head has learnt nothing yet."""


@runtime_checkable
class Scheduled(Protocol):
    """A method whose loss changes over the student's epochs."""

    @property
    def needs(self) -> Needs: ...

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        """Epoch `epoch` (from 1) of `epochs` of the student, after a teacher that trained for `teacher_epochs`."""
        ...


@dataclass(frozen=True)
class Lasting:
    """A phase, and for how many of the student's epochs it lasts."""

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
    """All that a loss reads, of one batch of B rows."""

    student: Outputs
    teacher_outputs: Outputs | None
    """None for a loss that reads no teacher."""
    labels: Tensor
    """(B,) class numbers, or values."""
    kind: Kind
    projection: nn.Module | None = None
    """Maps the student's width to the teacher's, where they differ; it is trained with the student."""

    @property
    def teacher(self) -> Outputs:
        """The teacher's outputs. Raises UserError where there are none."""
        if self.teacher_outputs is None:
            raise UserError("the method's loss needs the teacher's outputs of the batch, but got none")
        return self.teacher_outputs


class Method(Protocol):
    """A method whose teacher, if it has one, stays as it is during a step of the student."""

    @property
    def needs(self) -> Needs: ...

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """ "loss" is the scalar to minimise; every other entry is a detached part of it, for the curves."""
        ...


def same_shape(method: str, student: Tensor, teacher: Tensor, what: str) -> None:
    """Raise UserError where two tensors that are compared differ in shape: broadcasting would hide it."""
    if student.shape != teacher.shape:
        raise UserError(
            f"{method}: student and teacher {what} must have one shape, but they are "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
