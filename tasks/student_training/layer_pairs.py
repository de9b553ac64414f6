"""Pairs of student and teacher layers compared by the pipeline's methods, known before training."""

from config.methods import BY_NAME, ROWS, MethodRow, row_of
from config.parameters import Parameters
from errors import UserError
from methods.layer_mapping import LayerPairs, match_layers, patient_layers
from models.checkpoints import depth_of, fetch


def layer_pairs(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> LayerPairs:
    """The layers that a method compares, () if none. Raises UserError if it can't compare them."""
    if given.of_method(name).model_dump().get("beta") == 0:  # no weight, no comparison
        return ()
    return _pairs(given, BY_NAME[name], student_layers, teacher_layers)


def _pairs(given: Parameters, row: MethodRow, student_layers: int, teacher_layers: int) -> LayerPairs:
    values = given.of_method(row.name).model_dump()
    try:
        if row.layers == "mapped":
            return tuple(match_layers(values["mapping"], student_layers, teacher_layers))
        if row.layers == "patient":
            return patient_layers(values["layers"], student_layers, teacher_layers)
        if row.layers == "all":
            return _embeddings_and_layers(student_layers, teacher_layers)
    except ValueError as error:
        raise UserError(f"{row.name}: {error}") from None
    return ()


def check_heads(method: str, ours: int, theirs: int) -> None:
    """Raise UserError if attention can't be compared head by head."""
    if ours != theirs:
        raise UserError(
            f"{method}: compares attention head by head, but the student has {ours} heads and the teacher {theirs}; "
            "give both the same number, or use ckd, which compares none"
        )


def stored_layers(given: Parameters, *, student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layers whose sequence vectors the signals hold, for methods named now or later.

    They are the same whatever `methods` says: a method that is added finds its layers. One that can't compare networks of
    these depths is passed over while it isn't named, else UserError is raised.
    """
    wanted: set[int] = set()
    named = {row_of(method) for method in given.methods.names}
    for row in ROWS if given.signals.layers == "compared" else ():
        if row.stored_layers:
            try:
                pairs = _pairs(given, row, student_layers, teacher_layers)
            except UserError:
                if row in named:
                    raise
                continue
            wanted.update(theirs for _, theirs in pairs)
    return tuple(sorted(wanted))


def _embeddings_and_layers(student_layers: int, teacher_layers: int) -> LayerPairs:
    """Return ckd's layers. Raises ValueError for a network of one layer, which has no relations between layers."""
    if student_layers < 2 or teacher_layers < 2:
        raise ValueError(
            f"relates a word's vectors from layer to layer, which needs 2 layers or more, but student and teacher have "
            f"{student_layers} and {teacher_layers}; use kd or tinybert"
        )
    return ((0, 0), *match_layers("uniform", student_layers, teacher_layers))


def student_depth(given: Parameters) -> int:
    """Return the number of the student's layers before it is built."""
    known = given.student.depth
    return (
        depth_of(fetch(str(given.student.checkpoint), given.models.folders, given.models.revision))
        if known is None
        else known
    )
