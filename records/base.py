"""Base of all records: strict, frozen, without undeclared fields. `outputs` reads and writes them."""

from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Value = TypeVar("Value")
Scores = dict[str, float]
"""Metric, or "loss" -> value; scores are fractions."""


class RecordPart(BaseModel):
    """An object within a record."""

    # Built when first read or written: a stage imports more classes than it uses.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)


class Record(RecordPart):
    """A JSON file in the folder of a stage's output."""

    FILE: ClassVar[str] = "metrics.json"

    def tree(self) -> dict[str, object]:
        """The content of the file, without fields at their default."""
        return self.model_dump(exclude_defaults=True)


class Both(RecordPart, Generic[Value]):
    """A pair of values, of student and teacher."""

    student: Value
    teacher: Value

    @property
    def by_name(self) -> dict[str, Value]:
        """The values by "student" and "teacher"."""
        return {"student": self.student, "teacher": self.teacher}


class RecordRow(RecordPart):
    """A line of a .jsonl file. Extra keys are allowed, because keys contain names of metrics and datasets."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | int | str | None]  # ty: ignore[incompatible-mutable-override]  pydantic's own way
    FILE: ClassVar[str] = "curves.jsonl"

    @property
    def numbers(self) -> dict[str, float]:
        """All numeric values, by key."""
        return {key: float(value) for key, value in self if isinstance(value, int | float)}

    def starting(self, prefix: str) -> dict[str, float]:
        """The numbers whose key starts with the prefix, with the prefix removed."""
        return {key.removeprefix(prefix): value for key, value in self.numbers.items() if key.startswith(prefix)}
