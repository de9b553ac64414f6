"""Common parts of the sections of params.yaml: their rules, and the types of their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import CoreSchema, core_schema

from config.methods import METHODS, TRAINED

if TYPE_CHECKING:
    from config.stages import Student, Teacher

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(gt=0, le=1e3)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
LayerMapping = Literal["uniform", "first", "last"] | tuple[tuple[int, int], ...]
Softening = Annotated[Temperature, Field(description="Softens logits; without effect for regression.")]
TeacherStart = Annotated[
    Literal["finetuned", "pretrained"],
    Field(description="Initial teacher: fine-tuned, or the teacher stage's initial weights."),
]


@dataclass(frozen=True)
class OneOf:
    """Mark a field as one of these words, like a Literal of them."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.literal_schema(list(self.words))


Method = Annotated[str, OneOf(METHODS)]
"""Any method, by its full name."""
TrainedMethod = Annotated[str, OneOf(TRAINED)]
"""A method whose student starts from no other student."""


BERT_LAYERS = 12  # of a configuration that doesn't say
OF_THE_TEACHER = ("pretrained_teacher_layers", "teacher_layers")
"""Values of student.init with which the student starts from the teacher's layers."""


def known_depth(
    layers: int | tuple[int, ...] | None, config: Mapping[str, int | float | str | bool] | None
) -> int | None:
    """Number of layers by a count, a list of layers, or a configuration; None: as many as the checkpoint has."""
    if layers is not None:
        return layers if isinstance(layers, int) else len(layers)
    return None if config is None else int(config.get("num_hidden_layers", BERT_LAYERS))


class Section(BaseModel):
    """Common rules of all sections: immutable, no unknown key, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class MethodSection(Section):
    """Parameters of one method."""

    # The papers' weights of their hidden terms are for a student whose hidden vectors are near the teacher's from the start.
    # They keep any other one from learning its labels: docs/papers/methods.md, "What the papers' weights do to a random student".
    with_start: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Weights that may be null -> (of a student that starts from the teacher's layers, of any other)."""

    def check(self, student: "Student", teacher: "Teacher") -> None:
        """Raise ValueError if the method needs other sizes or epochs than params.yaml gives."""
