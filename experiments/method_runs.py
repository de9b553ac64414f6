"""Rows of the comparison of methods in docs/results/runs.jsonl, one per dataset, method and seed.

A row has the field `method`; rows without it are MPDistil's variants (experiments/result_rows.py). Rows of the same profile,
budget, selection, dataset, method and seed are the same run again: the one with the latest commit time counts.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.answers import DevAnswers
from experiments.json_lines import read_lines
from experiments.result_rows import Count, JsonText, Number, ResultRow, RowPart, Text, append_row, checked, latest_of


class StudentAndTeacher(RowPart):
    """A number of each."""

    student: Number
    teacher: Number


class MethodResult(ResultRow):
    """One student."""

    method: Text
    """A method, or a variant of one: prokd-without-temperature."""
    metric: Text
    dev: StudentAndTeacher
    selection: StudentAndTeacher
    selection_loss: Number
    """Mean task loss."""
    updates: StudentAndTeacher
    cpu_s: Number
    peak_memory_mb: Number
    points: Count
    """Number of settings tried, of which this one was best on selection."""
    parameters: JsonText
    """The method's own section."""
    command: Text
    train_rows: Number | None = None
    """Labelled rows of its dataset that the student was trained on."""
    other_rows: Number | None = None
    feedback_rows: Number | None = None
    """Those of other datasets, and those that only its teacher learnt from."""
    network_size: StudentAndTeacher | None = None
    """Parameters."""
    latency_ms: StudentAndTeacher | None = None
    """Median of a forward pass."""
    tried: tuple[JsonText, ...] = ()
    """Settings of the student's search with their scores on selection as fractions; none without one."""
    curve: tuple[JsonText, ...] = ()
    """Epochs of the one that was kept."""
    answers: DevAnswers | None = None


def append_method_row(path: Path, row: Mapping[str, object]) -> None:
    """Check a row and append it; ValueError for a bad one."""
    append_row(path, row, MethodResult)


def read_method_rows(path: Path) -> list[MethodResult]:
    """All rows that have a method, in the file's order. Raises ValueError with file, line and field for a bad one."""
    return [checked(MethodResult, content, where) for where, content in read_lines(path) if "method" in content]


def latest_method_rows(rows: Iterable[MethodResult]) -> list[MethodResult]:
    """One row for each run: the latest by commit time, then by line."""
    return latest_of(rows, lambda row: (row.setup, row.dataset, row.method, row.seed))
