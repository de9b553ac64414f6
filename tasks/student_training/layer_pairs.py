"""Which layers of student and teacher the methods of a pipeline compare, known before anything trains."""

from collections.abc import Sequence

from config.parameters import Parameters
from errors import UserError
from methods.layer_mapping import LayerPairs, match_layers, patient_layers
from models.checkpoints import depth_of, fetch

MOVING = ("dml", "prokt", "pesf_kd", "metadistil", "lgtm")
"""Methods whose teacher trains with the student, or whose head does: they read no stored sequence vectors."""


RUNNING = ("tinybert", "ckd")
"""Methods whose teacher stays as it is and runs, because they read all tokens: no signals."""


def layer_pairs(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> LayerPairs:
    """The layers that a method compares, () for those that compare none. Raises UserError where it can't."""
    try:
        if name == "mse_kd" or (name == "metadistil" and given.metadistil.beta):
            mapping = given.mse_kd.mapping if name == "mse_kd" else given.metadistil.mapping
            return tuple(match_layers(mapping, student_layers, teacher_layers))
        if name == "tinybert":
            return tuple(match_layers(given.tinybert.mapping, student_layers, teacher_layers))
        if name == "ckd":
            return _embeddings_and_layers(student_layers, teacher_layers)
        if name == "pkd":
            return patient_layers(given.pkd.layers, student_layers, teacher_layers)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    return ()


def check_heads(method: str, ours: int, theirs: int) -> None:
    """Raise UserError where a student's attention can't be compared with its teacher's, head by head."""
    if ours != theirs:
        raise UserError(
            f"{method}: compares attention head by head, but the student has {ours} heads and the teacher {theirs}; "
            "give both the same number, or use ckd, which compares none"
        )


def stored_layers(given: Parameters, *, student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layers whose sequence vectors the signals hold for the methods of the pipeline."""
    wanted: set[int] = set()
    for name in {*given.student.methods, *given.mpdistil.teaches}:
        if name in (*MOVING, *RUNNING) or (name == "mse_kd" and given.mse_kd.beta == 0):
            continue
        pairs = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
        wanted.update(theirs for _, theirs in pairs)
    return tuple(sorted(wanted))


def _embeddings_and_layers(student_layers: int, teacher_layers: int) -> LayerPairs:
    """What ckd reads; one vector and the embeddings have no relation from layer to layer that could be wrong."""
    if student_layers < 2 or teacher_layers < 2:
        raise ValueError(
            f"relates a word's vectors from layer to layer, which needs 2 layers or more, but student and teacher have "
            f"{student_layers} and {teacher_layers}; use kd or tinybert"
        )
    return ((0, 0), *match_layers("uniform", student_layers, teacher_layers))


def student_depth(given: Parameters) -> int:
    """How many layers the student has, known before there is one."""
    chosen = given.student
    if isinstance(chosen.layers, int):
        return chosen.layers
    if isinstance(chosen.layers, Sequence):
        return len(chosen.layers)
    if chosen.config is not None:
        return int(chosen.config.get("num_hidden_layers", 12))
    return depth_of(fetch(str(chosen.checkpoint), given.models.folders, given.models.revision))
