"""docs/results/runs.jsonl: one line for each cell that was run, only ever appended to; and which lines count.

Lines of the same profile, budget, selection, dataset, seed and cell are the same cell run again: the one with the latest
commit time counts, the later line where the commit is the same.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

CELL = ("meta_loss", "reward", "sampler", "preset")
SCORES = ("teacher", "finetune", "mse_kd", "meta_teacher", "mpdistil")
TEXTS = ("profile", "dataset", "machine", "commit", "commit_time", "selected_on")
SELECTED_ON = ("selection", "dev")


@dataclass(frozen=True)
class Cell:
    """One variant of MPDistil."""

    meta_loss: str
    reward: str
    sampler: str
    preset: str


@dataclass(frozen=True)
class Experiment:
    """What must be equal before two numbers may stand in one table."""

    profile: str
    budget: str
    selected_on: str


@dataclass(frozen=True)
class RunRow:
    """One line of the file. Scores are the headline metric on dev, and on selection, in points of 100."""

    experiment: Experiment
    dataset: str
    seed: int
    cell: Cell
    scores: dict[str, float]
    selection_scores: dict[str, float]
    dev_rows: int
    machine: str
    commit: str
    commit_time: datetime
    duration_s: float
    metric: str
    command: str


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Check a row and append it as one line, in one write; `commit_time` is asked of git where it isn't given.

    Raises ValueError, and writes nothing, if a field is missing or of a wrong kind.
    """
    complete = dict(row)
    if "commit_time" not in complete:
        complete["commit_time"] = _commit_time(str(row.get("commit", "")))
    _parse(complete, "the row to append")
    line = json.dumps(complete, sort_keys=True, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write to a file opened for appending is not torn apart by another process that appends.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode("utf-8"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_rows(path: Path) -> list[RunRow]:
    """All rows of the file, in its order. Raises ValueError with file, line and field for a bad one."""
    if not path.exists():
        raise ValueError(f"{path}: no such file; a run of the superglue-minilm profile appends to it")
    rows: list[RunRow] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not valid JSON ({error}); remove the line and run its cell again") from None
        if not isinstance(content, dict):
            raise ValueError(f"{where}: expected a JSON object, found {type(content).__name__}")
        rows.append(_parse(content, where))
    return rows


def latest(rows: Iterable[RunRow]) -> list[RunRow]:
    """One row for each cell: the latest by commit time, then by line."""
    kept: dict[tuple[Experiment, str, int, Cell], RunRow] = {}
    for row in sorted(rows, key=lambda row: row.commit_time):  # a stable sort keeps the order of lines
        kept[row.experiment, row.dataset, row.seed, row.cell] = row
    return list(kept.values())


def _parse(row: Mapping[str, object], where: str) -> RunRow:
    texts = {name: _text(row, name, where) for name in TEXTS}
    if texts["selected_on"] not in SELECTED_ON:
        raise ValueError(f"{where}: selected_on is {texts['selected_on']!r}; allowed: {', '.join(SELECTED_ON)}")
    cell = _mapping(row, "cell", where)
    scores = _mapping(row, "scores", where)
    selection = _mapping(row, "selection_scores", where) if "selection_scores" in row else {}
    budget = json.dumps(_mapping(row, "budget", where), sort_keys=True)
    return RunRow(
        experiment=Experiment(texts["profile"], budget, texts["selected_on"]),
        dataset=texts["dataset"],
        seed=int(_number(row, "seed", where)),
        cell=Cell(*(_text(cell, name, f"{where}, cell") for name in CELL)),
        scores={name: _number(scores, name, f"{where}, scores") for name in SCORES if name in scores},
        selection_scores={
            name: _number(selection, name, f"{where}, selection_scores") for name in SCORES if name in selection
        },
        dev_rows=int(_number(row, "dev_rows", where)),
        machine=texts["machine"],
        commit=texts["commit"],
        commit_time=_time(texts["commit_time"], where),
        duration_s=_number(row, "duration_s", where),
        metric=str(row.get("metric", "headline")),
        command=str(row.get("command", "")),
    )


def _time(text: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{where}: commit_time {text!r} is no ISO time with a zone, e.g. 2026-11-22T12:00:00+00:00")
    return time


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: field {name!r} must be a text, found {value!r}")
    return value


def _number(row: Mapping[str, object], name: str, where: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{where}: field {name!r} must be a number, found {value!r}")
    return float(value)


def _mapping(row: Mapping[str, object], name: str, where: str) -> dict[str, object]:
    value = row.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: field {name!r} must be a JSON object, found {value!r}")
    return {str(key): item for key, item in value.items()}


def _commit_time(commit: str) -> str:
    """The commit's time as git knows it."""
    command = ["git", "show", "-s", "--format=%cI", commit]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode or not commit:
        raise ValueError(
            f"commit {commit!r} is not known to git here; give commit_time as well, an ISO time with a zone"
        )
    return answer.stdout.strip()
