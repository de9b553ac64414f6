"""Layers that a student keeps, and the required depths of student and teacher; no torch."""

import itertools
from collections.abc import Sequence

from errors import UserError


def spread_layers(available: int, wanted: int) -> tuple[int, ...]:
    """`wanted` of `available` layers, evenly spread, numbered from 1, the last always included.

    The i-th is i * available // wanted: 6 -> 3 keeps (2, 4, 6), 12 -> 4 keeps (3, 6, 9, 12), 12 -> 5 keeps
    (2, 4, 7, 9, 12). A number is also the index of the hidden state after that layer.
    """
    return tuple(number * available // wanted for number in range(1, wanted + 1))


def choose_layers(available: int, layers: int | Sequence[int]) -> tuple[int, ...]:
    """Layer numbers, from 1, for a count (spread evenly) or an explicit ascending list.

    Raises UserError for more layers than there are, a number out of range, or a list that does not rise.
    """
    count = layers if isinstance(layers, int) else len(layers)
    if not 1 <= count <= available:
        raise UserError(f"{count} layers asked, allowed are 1 to {available}: the source has {available}")
    if isinstance(layers, int):
        return spread_layers(available, layers)
    chosen = tuple(layers)
    if chosen[0] < 1 or chosen[-1] > available or any(a >= b for a, b in itertools.pairwise(chosen)):
        raise UserError(f"layers {list(chosen)}: allowed are rising numbers from 1 to {available}")
    return chosen


def check_branch_depths(student_layers: int, teacher_layers: int) -> None:
    """Raise UserError for depths that allow no teacher with student branches."""
    if student_layers < 2 or teacher_layers < student_layers:
        raise UserError(
            f"student branches need a student of 2 layers or more and a teacher of as many at least, but they have "
            f"{student_layers} and {teacher_layers}; use kd"
        )
