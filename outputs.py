"""Folder of each stage's output, outputs/<stage>/<dataset>[/<method>][/<seed>]; reader and writer of its records."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from checksums import check_unchanged, file_sums, first_fault
from errors import UserError
from records.base import Record, RecordRow
from records.stage_run import RunRecord

OUTPUTS = Path("outputs")
Kept = TypeVar("Kept")
OneRecord = TypeVar("OneRecord", bound=Record)
OneRow = TypeVar("OneRow", bound=RecordRow)
Whole = TypeVar("Whole", bound=BaseModel)


def output_folder(
    stage: str, *, dataset: str | None = None, method: str | None = None, seed: int | None = None
) -> Path:
    """The folder of one stage for one combination of its matrix.

    Students of other stages than `student` lie where its students lie, so that everything after them has one shape.
    """
    if stage in ("curriculum", "assisted_student"):
        stage = "student"
    elif stage == "meta_student":
        stage, method = "student", f"{method}_meta"
    elif stage == "multi_task":
        stage, method = "student", f"{method}_multi"
    parts = [part for part in (dataset, method, None if seed is None else str(seed)) if part is not None]
    return OUTPUTS.joinpath(stage, *parts)


def tokens_folder(dataset: str) -> Path:
    """Tokenised splits, their description, manifest and tokenizer."""
    return output_folder("split", dataset=dataset) / "tokens"


def teacher_model(dataset: str, seed: int) -> Path:
    """The teacher as a stock Hugging Face folder."""
    return output_folder("teacher", dataset=dataset, seed=seed) / "model"


def trajectory_folder(dataset: str, seed: int) -> Path:
    """The teacher's train logits after each of its epochs, if `teacher.trajectory` is set."""
    return output_folder("teacher", dataset=dataset, seed=seed) / "trajectory"


def signals_folder(dataset: str, seed: int) -> Path:
    """Stored teacher outputs."""
    return output_folder("signals", dataset=dataset, seed=seed) / "signals"


def assistant_signals(dataset: str, method: str, seed: int) -> Path:
    """Stored outputs of the assistant of takd's or sftn's student."""
    return output_folder("assistant", dataset=dataset, method=method, seed=seed) / "signals"


def student_folder(dataset: str, method: str, seed: int) -> Path:
    """The output folder of the stage that trained a method's student."""
    return output_folder("student", dataset=dataset, method=method, seed=seed)


def student_model(dataset: str, method: str, seed: int) -> Path:
    """A method's student as a stock Hugging Face folder."""
    return student_folder(dataset, method, seed) / "model"


def student_seen(dataset: str, method: str, seed: int) -> Path:
    """Outputs of a method's student on the selection rows, stored for later stages."""
    return student_folder(dataset, method, seed) / "seen"


def meta_teacher_folder(dataset: str, seed: int) -> Path:
    """The meta-teacher's head and its outputs on the quiz rows."""
    return output_folder("meta_teacher", dataset=dataset, seed=seed) / "head"


def evaluate_folder(dataset: str, method: str, seed: int) -> Path:
    """Predictions and metrics of a method's student and its teacher."""
    return output_folder("evaluate", dataset=dataset, method=method, seed=seed)


def has_record(folder: Path) -> bool:
    """Return whether a stage left its record in a folder."""
    return (folder / RunRecord.FILE).exists()


def read_record(kind: type[OneRecord], folder: Path) -> OneRecord:
    """Read the record of one class in a stage's folder. Raises UserError if missing, damaged or of another release."""
    return read_file(kind, folder / kind.FILE)


def read_file(kind: type[Kept], path: Path) -> Kept:
    """Read one file as a record."""
    must_exist(path)
    return _parsed(kind, path.read_bytes(), path)


def read_rows(kind: type[OneRow], folder: Path) -> list[OneRow]:
    """Read the lines of one class in a stage's folder. Raises UserError if they are missing or damaged."""
    path = folder / kind.FILE
    must_exist(path)
    return [_parsed(kind, line, path) for line in path.read_bytes().splitlines() if line]


def read_if_whole(kind: type[Whole], path: Path) -> Whole | None:
    """Read a record; None if it is missing or of another release."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def read_json(path: Path) -> dict[str, object]:
    """Read the JSON object in a file of a class unknown to pydantic, such as DatasetSpec."""
    return read_file(dict[str, object], path)


def must_exist(path: Path) -> None:
    """Raise UserError if a file is missing or was changed after its stage wrote it."""
    if not path.exists():
        raise UserError(f"{path}: missing, but params.yaml asks for it; run `dvc repro`")
    if path.name != RunRecord.FILE:
        check_unchanged(path, file_sums(path), OUTPUTS)


def json_text(content: Mapping[str, object]) -> str:
    """The content of a JSON file. Raises ValueError, with the key, for NaN and infinity."""
    return _dumped(content, indent=2)


def rows_text(kind: type[RecordRow], rows: Iterable[Mapping[str, object]]) -> str:
    """The content of a .jsonl file, keys in the given order. Raises ValueError, with the key, for NaN and infinity."""
    return "".join(_dumped(row) for row in rows if kind.model_validate(row))


def _dumped(content: Mapping[str, object], indent: int | None = None) -> str:
    try:
        return json.dumps(content, indent=indent, allow_nan=False) + "\n"
    except ValueError as error:
        raise ValueError(next(_not_finite(content), str(error))) from None


def _not_finite(value: object, key: str = "") -> Iterator[str]:
    """Each number that JSON does not have, as in 'student.accuracy is nan'."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key} is {value}"
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _not_finite(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _not_finite(part, f"{key}[{number}]")


def _parsed(kind: type[Kept], content: bytes, path: Path) -> Kept:
    try:
        return _adapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        raise UserError(f"{path}: {first_fault(error)}; delete {path.parent} and run `dvc repro`") from None


@cache
def _adapter(kind: type[Kept]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
