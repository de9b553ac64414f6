"""Pairs of student and teacher layers to compare.

Layers are hidden-state numbers: 0 is the embeddings, n is what comes out of layer n.
"""

from collections.abc import Sequence
from typing import Literal

from errors import UserError

LayerPairs = tuple[tuple[int, int], ...]
Mapping = Literal["uniform", "first", "last"] | Sequence[Sequence[int]]


def match_layers(mapping: Mapping, student_layers: int, teacher_layers: int) -> list[tuple[int, int]]:
    """Pairs (layer of the student, layer of the teacher) for models of the given depths.

    `uniform` spreads the shallower model's layers evenly over the deeper one and ends with both last layers
    (3 on 6: 1-2, 2-4, 3-6); `first` and `last` take the layers from the bottom and from the top; or the pairs
    themselves, [[student, teacher], ...]. Raises UserError on another name or a layer that a model does not
    have.
    """
    if student_layers < 1 or teacher_layers < 1:
        raise UserError(f"depths must be 1 or more, but they are {student_layers} and {teacher_layers}")
    pairs = min(student_layers, teacher_layers)
    if not isinstance(mapping, str):
        return _checked(mapping, student_layers, teacher_layers)
    if mapping == "uniform":
        return [(i * student_layers // pairs, i * teacher_layers // pairs) for i in range(1, pairs + 1)]
    if mapping == "first":
        return [(i, i) for i in range(1, pairs + 1)]
    if mapping == "last":
        return [(student_layers - i, teacher_layers - i) for i in reversed(range(pairs))]
    raise UserError(
        f"layer mapping {mapping!r}: allowed are uniform, first, last or a list of pairs [student layer, teacher layer]"
    )


def patient_layers(strategy: str, student_layers: int, teacher_layers: int) -> LayerPairs:
    """The student's layers except the last, paired with the teacher's (section 3.2 of the paper).

    `skip`: spread evenly (3 on 6: 1-2, 2-4). `last`: the teacher's last layers below its top one (3 on 6: 1-4, 2-5).
    Raises UserError where the student has one layer, or the teacher no more than the student.
    """
    if student_layers < 2 or teacher_layers <= student_layers:
        raise UserError(
            f"needs a student of 2 layers or more and a deeper teacher, but they have {student_layers} and "
            f"{teacher_layers}; use kd"
        )
    middle = range(1, student_layers)
    if strategy == "skip":
        return tuple((layer, layer * teacher_layers // student_layers) for layer in middle)
    return tuple((layer, teacher_layers - student_layers + layer) for layer in middle)


def _checked(mapping: Sequence[Sequence[int]], student_layers: int, teacher_layers: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for pair in mapping:
        if len(pair) != 2 or not 0 <= pair[0] <= student_layers or not 0 <= pair[1] <= teacher_layers:
            raise UserError(
                f"layer mapping {list(pair)}: a pair is [student layer 0-{student_layers}, "
                f"teacher layer 0-{teacher_layers}]"
            )
        pairs.append((pair[0], pair[1]))
    return pairs
