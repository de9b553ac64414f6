"""Rows of docs/results that a page of evidence is made of: teachers, students, and the plain loop's teachers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.methods import BASELINE
from experiments.gap import GapClosed, gap_closed
from experiments.json_lines import read_lines
from experiments.method_runs import MethodResult, latest_method_rows, read_method_rows
from experiments.result_rows import Number, RowPart, Setup, Text, checked
from experiments.teachers import TeacherResult, latest_teacher_rows, read_teacher_rows

LEVEL = 0.95


class PlainResult(RowPart):
    """One teacher of benchmarks/plain_teacher.py; scores in points of 100."""

    dataset: Text
    seed: Number
    metric: Text
    learning_rate: Number
    selection: Number
    dev: Number
    dev_standard_error: Number
    """Of dev's rows alone."""


@dataclass(frozen=True)
class Evidence:
    """All rows that count."""

    teachers: list[TeacherResult]
    students: list[MethodResult]
    plain: list[PlainResult]

    @property
    def setups(self) -> list[Setup]:
        """Those of the students, in the order of the rows."""
        return list(dict.fromkeys(row.setup for row in self.students))

    def of(self, setup: Setup, dataset: str, method: str) -> dict[int, MethodResult]:
        """Seed -> student."""
        own = [row for row in self.students if (row.dataset, row.method) == (dataset, method)]
        return {row.seed: row for row in own if row.setup == setup}

    def methods(self, setup: Setup) -> list[str]:
        """In the order of the rows, the baseline first."""
        found = dict.fromkeys(row.method for row in self.students if row.setup == setup)
        return sorted(found, key=lambda name: name != BASELINE)

    def datasets(self, setup: Setup) -> list[str]:
        """In alphabetical order."""
        return sorted({row.dataset for row in self.students if row.setup == setup})

    def gap(self, setup: Setup, dataset: str, method: str) -> GapClosed | None:
        """The share of the gap that a method closes, on the seeds that it and the baseline have; None for none."""
        own, base = self.of(setup, dataset, method), self.of(setup, dataset, BASELINE)
        return gap_of([(own[seed], base[seed]) for seed in sorted(own.keys() & base.keys())])


def gap_of(pairs: Sequence[tuple[MethodResult, MethodResult]]) -> GapClosed | None:
    """The share of the gap that students close: (student, fine-tuned), a pair a seed; None without answers on dev."""
    answers = [(own.answers, base.answers) for own, base in pairs]
    known = [(own, base) for own, base in answers if own is not None and base is not None]
    if not known or len(known) < len(answers):
        return None
    first = known[0][0]
    return gap_closed(
        pairs[0][0].metric,
        first.kind,
        first.truth,
        [own.logits("student") for own, _ in known],
        [base.logits("student") for _, base in known],
        [own.logits("teacher") for own, _ in known],
        LEVEL,
    )


def budget_values(setup: Setup) -> dict[str, object]:
    """The budget of all students of one table."""
    return json.loads(setup.budget)


def start_text(setup: Setup) -> str:
    """The start of its students, and how many layers they have."""
    values = budget_values(setup)
    layers = values.get("student_layers")
    return f"{values['student_start']}, {layers} layers" if layers else str(values["student_start"])


def read_evidence(runs: Path, plain: Path) -> Evidence:
    """Everything in two files. Raises ValueError with file, line and field for a bad row."""
    if not runs.exists():
        raise ValueError(f"{runs}: no such file; `python -m experiments.grid profiles/glue-minilm.yaml` appends to it")
    return Evidence(
        latest_teacher_rows(read_teacher_rows(runs)),
        latest_method_rows(read_method_rows(runs)),
        [checked(PlainResult, row, where) for where, row in read_lines(plain)] if plain.exists() else [],
    )


def curve_of(row: MethodResult | TeacherResult) -> list[Mapping[str, float]]:
    """Epochs of a row."""
    return [json.loads(text) for text in row.curve]
