"""docs/results/runs.jsonl: one line per cell run, append-only, and the choice of the lines that count.

Lines of the same profile, budget, selection, dataset, seed and cell are the same cell run again: the one with the latest
commit time counts, the later line where the commit is the same.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from experiments.json_lines import append_line, commit_time_of, read_lines

SELECTED_ON = ("selection", "dev")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a text, found {value!r}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"must be a number, found {value!r}")
    return float(value)


def _mapping(value: object) -> dict[object, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a JSON object, found {value!r}")
    return dict(value)


def _selected_on(value: object) -> str:
    if value not in SELECTED_ON:
        raise ValueError(f"is {value!r}; allowed: {', '.join(SELECTED_ON)}")
    return str(value)


def _time(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(_text(value))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{value!r} is not an ISO time with a zone, e.g. 2026-11-22T12:00:00+00:00")
    return time


Text = Annotated[str, BeforeValidator(_text)]
Number = Annotated[float, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(lambda value: int(_number(value)))]
Scores = Annotated[dict[str, Number], BeforeValidator(_mapping)]
JsonText = Annotated[str, BeforeValidator(lambda value: json.dumps(_mapping(value), sort_keys=True))]
"""A JSON object as canonical text, for comparing."""


class RowPart(BaseModel):
    """An object within a row, or a row; a missing field gets the same error as a wrong one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _missing_as_none(cls, given: object) -> dict[object, object]:
        return {name: None for name, field in cls.model_fields.items() if field.is_required()} | _mapping(given)


@dataclass(frozen=True)
class Setup:
    """Settings that must be equal before two numbers may share a table."""

    profile: str
    budget: str
    selected_on: str


class ResultRow(RowPart):
    """Fields that the rows of all grids have. Scores are the primary metric in points of 100."""

    profile: Text
    selected_on: Annotated[str, BeforeValidator(_selected_on)]
    budget: JsonText
    dataset: Text
    seed: Count
    metric: Text = "headline"
    dev_rows: Count
    machine: Text
    commit: Text
    commit_time: Annotated[datetime, BeforeValidator(_time)]
    command: str = ""

    @property
    def setup(self) -> Setup:
        return Setup(self.profile, self.budget, self.selected_on)


class CellSettings(RowPart):
    """One variant of MPDistil."""

    meta_loss: Text
    reward: Text
    sampler: Text
    preset: Text


class CellRow(ResultRow):
    """One cell on one dataset and seed."""

    cell: CellSettings
    scores: Scores
    """On dev: teacher, finetune, mse_kd, meta_teacher, mpdistil."""
    selection_scores: Scores = {}
    late_share: Scores = {}
    """Share of each action in the second half of the episodes."""
    mean_reward: Scores = {}
    """Of each action, over all episodes."""
    duration_s: Number


AnyRow = TypeVar("AnyRow", bound=ResultRow)
AnyPart = TypeVar("AnyPart", bound=RowPart)


def append_row(path: Path, row: Mapping[str, object], kind: type[ResultRow] = CellRow) -> None:
    """Check a row and append it; `commit_time` is read from git if not given.

    Raises ValueError, and writes nothing, if a field is missing or of a wrong kind.
    """
    complete = dict(row)
    if "commit_time" not in complete:
        complete["commit_time"] = commit_time_of(str(row.get("commit", "")))
    checked(kind, complete, "the row to append")
    append_line(path, complete)


def read_rows(path: Path) -> list[CellRow]:
    """All rows of MPDistil's variants in the file's order, without rows of methods and of teachers.

    Raises ValueError with file, line and field for a bad one.
    """
    return [
        checked(CellRow, content, where)
        for where, content in read_lines(path)
        if not {"method", "row"} & content.keys()
    ]


def latest(rows: Iterable[CellRow]) -> list[CellRow]:
    """One row for each cell: the latest by commit time, then by line."""
    return latest_of(rows, lambda row: (row.setup, row.dataset, row.seed, row.cell))


def latest_of(rows: Iterable[AnyRow], key: Callable[[AnyRow], object]) -> list[AnyRow]:
    """One row for each key: the latest by commit time, then by line."""
    # A stable sort keeps the order of lines.
    return list({key(row): row for row in sorted(rows, key=lambda row: row.commit_time)}.values())


def checked(kind: type[AnyPart], row: Mapping[str, object], where: str) -> AnyPart:
    """A row as its class. Raises ValueError that names the first bad field."""
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        *sections, name = first["loc"]
        fault = first.get("ctx", {}).get("error", first["msg"])
        raise ValueError(f"{', '.join([where, *map(str, sections)])}: field {name!r} {fault}") from None
