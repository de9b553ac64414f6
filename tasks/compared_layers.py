"""Which layers of student and teacher the methods of a pipeline compare, known before anything trains."""

from collections.abc import Sequence

from config import Parameters
from methods.layers import LayerPairs, match_layers, patient_layers
from models.checkpoints import fetch
from tasks.networks import depth_of, search_folders
from tasks.stage import StageError

MOVING = ("dml", "prokt", "metadistil", "lgtm")
"""Methods whose teacher trains with the student: they run it, and read no signals."""


def layer_pairs(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> LayerPairs:
    """The layers that a method compares, () for those that compare none. Raises StageError where it can't."""
    try:
        if name == "mse_kd" or (name == "metadistil" and given.metadistil.beta):
            mapping = given.mse_kd.mapping if name == "mse_kd" else given.metadistil.mapping
            return tuple(match_layers(mapping, student_layers, teacher_layers))
        if name == "pkd":
            return patient_layers(given.pkd.layers, student_layers, teacher_layers)
    except ValueError as error:
        raise StageError(f"{name}: {error}") from None
    return ()


def stored_layers(given: Parameters, *, student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layers whose sequence vectors the signals hold for the methods of the pipeline."""
    wanted: set[int] = set()
    for name in given.student.methods:
        if name in MOVING or (name == "mse_kd" and given.mse_kd.beta == 0):
            continue
        pairs = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
        wanted.update(theirs for _, theirs in pairs)
    return tuple(sorted(wanted))


def student_depth(given: Parameters) -> int:
    """How many layers the student has, known before there is one."""
    chosen = given.student
    if isinstance(chosen.layers, int):
        return chosen.layers
    if isinstance(chosen.layers, Sequence):
        return len(chosen.layers)
    if chosen.config is not None:
        return int(chosen.config.get("num_hidden_layers", 12))
    return depth_of(fetch(str(chosen.checkpoint), search_folders(given), given.models.revision))
