"""A file of JSON lines that is only ever appended to, and the fields of its rows, checked by name."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar


class _HasCommit(Protocol):
    @property
    def commit_time(self) -> datetime: ...


Made = TypeVar("Made", bound=_HasCommit)


def append_checked(path: Path, row: Mapping[str, object], parse: Callable[[Mapping[str, object], str], object]) -> None:
    """Append a row as one line, in one write; `commit_time` is asked of git where it isn't given.

    Raises ValueError, and writes nothing, if `parse` does: a field is missing or of a wrong kind.
    """
    complete = dict(row)
    if "commit_time" not in complete:
        complete["commit_time"] = commit_time_of(str(row.get("commit", "")))
    parse(complete, "the row to append")
    line = json.dumps(complete, sort_keys=True, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write to a file opened for appending is not torn apart by another process that appends.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(where, row) of every line. Raises ValueError with file and line for what is no JSON object."""
    if not path.exists():
        raise ValueError(f"{path}: no such file; a run of the superglue-minilm profile appends to it")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not valid JSON ({error}); remove the line and run its cell again") from None
        if not isinstance(content, dict):
            raise ValueError(f"{where}: expected a JSON object, found {type(content).__name__}")
        yield where, content


def latest_of(rows: Iterable[Made], key: Callable[[Made], object]) -> list[Made]:
    """One row for each key: the latest by commit time, then by line."""
    # A stable sort keeps the order of lines.
    return list({key(row): row for row in sorted(rows, key=lambda row: row.commit_time)}.values())


def time_field(text: str, where: str) -> datetime:
    """An ISO time with its zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{where}: commit_time {text!r} is no ISO time with a zone, e.g. 2026-11-22T12:00:00+00:00")
    return time


def text_field(row: Mapping[str, object], name: str, where: str) -> str:
    """A text that is not empty."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: field {name!r} must be a text, found {value!r}")
    return value


def number_field(row: Mapping[str, object], name: str, where: str) -> float:
    """A number."""
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{where}: field {name!r} must be a number, found {value!r}")
    return float(value)


def mapping_field(row: Mapping[str, object], name: str, where: str) -> dict[str, object]:
    """A JSON object."""
    value = row.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: field {name!r} must be a JSON object, found {value!r}")
    return {str(key): item for key, item in value.items()}


def commit_time_of(commit: str) -> str:
    """The commit's time as git knows it."""
    command = ["git", "show", "-s", "--format=%cI", commit]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode or not commit:
        raise ValueError(
            f"commit {commit!r} is not known to git here; give commit_time as well, an ISO time with a zone"
        )
    return answer.stdout.strip()
