"""docs/results/runs.jsonl: one line for each cell that was run, only ever appended to; and which lines count.

Lines of the same profile, budget, selection, dataset, seed and cell are the same cell run again: the one with the latest
commit time counts, the later line where the commit is the same.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from experiments.json_lines import (
    append_checked,
    latest_of,
    mapping_field,
    number_field,
    read_lines,
    text_field,
    time_field,
)

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
    """Settings that must be equal before two numbers may stand in one table."""

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
    """Check a row and append it; ValueError for a bad one."""
    append_checked(path, row, _parse)


def read_rows(path: Path) -> list[RunRow]:
    """All rows of MPDistil's variants, in the file's order; those of the comparison of methods are others. Raises ValueError with file, line and field for a bad one."""
    return [_parse(content, where) for where, content in read_lines(path) if "method" not in content]


def latest(rows: Iterable[RunRow]) -> list[RunRow]:
    """One row for each cell: the latest by commit time, then by line."""
    return latest_of(rows, lambda row: (row.experiment, row.dataset, row.seed, row.cell))


def _parse(row: Mapping[str, object], where: str) -> RunRow:
    texts = {name: text_field(row, name, where) for name in TEXTS}
    if texts["selected_on"] not in SELECTED_ON:
        raise ValueError(f"{where}: selected_on is {texts['selected_on']!r}; allowed: {', '.join(SELECTED_ON)}")
    cell = mapping_field(row, "cell", where)
    scores = mapping_field(row, "scores", where)
    selection = mapping_field(row, "selection_scores", where) if "selection_scores" in row else {}
    budget = json.dumps(mapping_field(row, "budget", where), sort_keys=True)
    return RunRow(
        experiment=Experiment(texts["profile"], budget, texts["selected_on"]),
        dataset=texts["dataset"],
        seed=int(number_field(row, "seed", where)),
        cell=Cell(*(text_field(cell, name, f"{where}, cell") for name in CELL)),
        scores={name: number_field(scores, name, f"{where}, scores") for name in SCORES if name in scores},
        selection_scores={
            name: number_field(selection, name, f"{where}, selection_scores") for name in SCORES if name in selection
        },
        dev_rows=int(number_field(row, "dev_rows", where)),
        machine=texts["machine"],
        commit=texts["commit"],
        commit_time=time_field(texts["commit_time"], where),
        duration_s=number_field(row, "duration_s", where),
        metric=str(row.get("metric", "headline")),
        command=str(row.get("command", "")),
    )
