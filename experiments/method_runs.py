"""Rows of the comparison of methods in docs/results/runs.jsonl: one a dataset, method and seed; and which of them count.

A row has the field `method`; rows without it are MPDistil's variants (experiments/result_rows.py). Rows of the same profile,
budget, selection, dataset, method and seed are the same run again: the one with the latest commit time counts.
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
from experiments.result_rows import Experiment

SCORED = ("student", "teacher")


@dataclass(frozen=True)
class MethodRow:
    """One student. Scores are the headline metric in points of 100, losses the mean task loss."""

    experiment: Experiment
    dataset: str
    method: str
    """A method, or a variant of one: prokd-without-temperature."""
    seed: int
    metric: str
    dev: dict[str, float]
    """student, teacher."""
    selection: dict[str, float]
    selection_loss: float
    dev_rows: int
    student_updates: float
    teacher_updates: float
    cpu_s: float
    peak_memory_mb: float
    points: int
    """Number of settings tried for this one, chosen on selection."""
    parameters: str
    """The method's own section, as JSON."""
    machine: str
    commit: str
    commit_time: datetime
    command: str


def append_method_row(path: Path, row: Mapping[str, object]) -> None:
    """Check a row and append it; ValueError for a bad one."""
    append_checked(path, row, _parse)


def read_method_rows(path: Path) -> list[MethodRow]:
    """All rows that have a method, in the file's order. Raises ValueError with file, line and field for a bad one."""
    return [_parse(content, where) for where, content in read_lines(path) if "method" in content]


def latest_method_rows(rows: Iterable[MethodRow]) -> list[MethodRow]:
    """One row for each run: the latest by commit time, then by line."""
    return latest_of(rows, lambda row: (row.experiment, row.dataset, row.method, row.seed))


def _parse(row: Mapping[str, object], where: str) -> MethodRow:
    selected_on = text_field(row, "selected_on", where)
    if selected_on not in ("selection", "dev"):
        raise ValueError(f"{where}: selected_on is {selected_on!r}; allowed: selection, dev")
    updates = mapping_field(row, "updates", where)
    budget = json.dumps(mapping_field(row, "budget", where), sort_keys=True)

    def scores(name: str) -> dict[str, float]:
        given = mapping_field(row, name, where)
        return {who: number_field(given, who, f"{where}, {name}") for who in SCORED}

    return MethodRow(
        experiment=Experiment(text_field(row, "profile", where), budget, selected_on),
        dataset=text_field(row, "dataset", where),
        method=text_field(row, "method", where),
        seed=int(number_field(row, "seed", where)),
        metric=text_field(row, "metric", where),
        dev=scores("dev"),
        selection=scores("selection"),
        selection_loss=number_field(row, "selection_loss", where),
        dev_rows=int(number_field(row, "dev_rows", where)),
        student_updates=number_field(updates, "student", f"{where}, updates"),
        teacher_updates=number_field(updates, "teacher", f"{where}, updates"),
        cpu_s=number_field(row, "cpu_s", where),
        peak_memory_mb=number_field(row, "peak_memory_mb", where),
        points=int(number_field(row, "points", where)),
        parameters=json.dumps(mapping_field(row, "parameters", where), sort_keys=True),
        machine=text_field(row, "machine", where),
        commit=text_field(row, "commit", where),
        commit_time=time_field(text_field(row, "commit_time", where), where),
        command=text_field(row, "command", where),
    )
