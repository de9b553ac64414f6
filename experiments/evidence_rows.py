"""Rows of docs/results that a page of evidence is made of: teachers, students, and the plain loop's teachers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from config.methods import BASELINE
from experiments.gap import GapClosed, gap_closed
from experiments.json_lines import read_lines
from experiments.method_runs import MethodResult, latest_method_rows, read_method_rows
from experiments.result_rows import JsonText, Number, RowPart, Text, checked
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
class Setting:
    """Everything that students of one table have in common, but for the method and the dataset."""

    profile: str
    selected_on: str
    budget: JsonText

    @cached_property
    def values(self) -> dict[str, object]:
        """The budget."""
        return json.loads(self.budget)

    @property
    def start(self) -> str:
        """Where students start, and how many layers they have."""
        layers = self.values.get("student_layers")
        return f"{self.values['student_start']}, {layers} layers" if layers else str(self.values["student_start"])

    @property
    def text(self) -> str:
        """The budget in words."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.values.items())


@dataclass(frozen=True)
class Evidence:
    """All rows that count."""

    teachers: list[TeacherResult]
    students: list[MethodResult]
    plain: list[PlainResult]

    @property
    def settings(self) -> list[Setting]:
        """Those of the students, in the order of the rows."""
        return list(dict.fromkeys(setting_of(row) for row in self.students))

    def of(self, setting: Setting, dataset: str, method: str) -> dict[int, MethodResult]:
        """Seed -> student."""
        own = [row for row in self.students if (row.dataset, row.method) == (dataset, method)]
        return {row.seed: row for row in own if setting_of(row) == setting}

    def methods(self, setting: Setting) -> list[str]:
        """In the order of the rows, the baseline first."""
        found = dict.fromkeys(row.method for row in self.students if setting_of(row) == setting)
        return sorted(found, key=lambda name: name != BASELINE)

    def datasets(self, setting: Setting) -> list[str]:
        """In alphabetical order."""
        return sorted({row.dataset for row in self.students if setting_of(row) == setting})

    def gap(self, setting: Setting, dataset: str, method: str) -> GapClosed | None:
        """The share of the gap that a method closes, on the seeds that it and the baseline have; None for none."""
        own, base = self.of(setting, dataset, method), self.of(setting, dataset, BASELINE)
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


def setting_of(row: MethodResult) -> Setting:
    """The setting of a student."""
    return Setting(row.profile, row.selected_on, row.budget)


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
