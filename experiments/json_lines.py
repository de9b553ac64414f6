"""An append-only file of JSON lines."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path


def append_line(path: Path, row: Mapping[str, object]) -> None:
    """Append a row as one line, in one write."""
    line = json.dumps(row, sort_keys=True, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write to a file opened for appending is not torn apart by another process that appends.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(where, row) of every line. Raises ValueError with file and line for a line that is not a JSON object."""
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


def commit_time_of(commit: str) -> str:
    """The commit's time as git knows it."""
    command = ["git", "show", "-s", "--format=%cI", commit]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode or not commit:
        raise ValueError(
            f"commit {commit!r} is not known to git here; give commit_time as well, an ISO time with a zone"
        )
    return answer.stdout.strip()
