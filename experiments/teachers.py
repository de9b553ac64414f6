"""Rows of teachers in a file of results: what was tried, what was kept, and whether it is distilled from at all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

from pydantic import BeforeValidator

from experiments.grid_types import Setting, points_of_100
from experiments.json_lines import read_lines
from experiments.result_rows import Count, JsonText, Number, ResultRow, append_row, checked, latest_of
from outputs import output_folder, read_record, read_rows
from records.prepared import SplitMetrics
from records.stage_run import RunRecord
from records.trained import CurveRow, SignalsMetrics, TeacherMetrics

TEACHER = "teacher"
"""The field `row` of these rows."""
LEFT_OUT = "left out: teacher no better than the majority"


class TeacherResult(ResultRow):
    """One teacher."""

    dev: Number
    selection: Number
    rows: Annotated[dict[str, Count], BeforeValidator(dict)]
    """Split -> rows."""
    tried: tuple[JsonText, ...] = ()
    """Settings, with their scores on selection as fractions; none without a search."""
    curve: tuple[JsonText, ...] = ()
    """Epochs of the one that was kept."""
    cpu_s: Number
    left_out: str = ""
    """Reason why it is not distilled from; empty: it is."""

    @property
    def reason(self) -> str:
        """The reason for which it is left out, in a table."""
        return LEFT_OUT if self.left_out else ""


@dataclass(frozen=True)
class Teachers:
    """Teachers of a grid, made before their students."""

    setting: Setting
    values: Mapping[str, object]
    """Of params.yaml by dotted key, in every run of the grid."""

    def row(self, dataset: str, seed: int) -> TeacherResult:
        """The row of a teacher; it is trained, and the row appended, where the file has none."""
        if found := self._rows(dataset, seed):
            return found[-1]
        changes = {"datasets": [dataset], "seeds": [seed], **self.values}
        with self.setting.pipeline.run(changes, [f"signals@{dataset}-{seed}"]) as tree:
            append_row(self.setting.rows, self._made(dataset, seed, tree), TeacherResult)
        return self._rows(dataset, seed)[-1]

    def _rows(self, dataset: str, seed: int) -> list[TeacherResult]:
        if not self.setting.rows.exists():
            return []
        budget = json.dumps(self._budget(), sort_keys=True)
        return [
            row
            for row in latest_teacher_rows(read_teacher_rows(self.setting.rows))
            if (row.profile, row.budget, row.dataset, row.seed) == (self.setting.profile, budget, dataset, seed)
        ]

    def _budget(self) -> dict[str, object]:
        return teacher_budget(self.setting.values)

    def _made(self, dataset: str, seed: int, tree: Path) -> dict[str, object]:
        folder = tree / output_folder("teacher", dataset=dataset, seed=seed)
        signals = tree / output_folder("signals", dataset=dataset, seed=seed)
        metrics, said = read_record(TeacherMetrics, folder), read_record(SignalsMetrics, signals).teacher
        rows = read_record(SplitMetrics, tree / output_folder("split", dataset=dataset)).rows
        metric = self.setting.spec(dataset, tree).metrics[0]
        return {
            "row": TEACHER,
            "dataset": dataset,
            "seed": seed,
            "metric": metric,
            "dev": points_of_100(said["dev"][metric]),
            "selection": points_of_100(metrics.selection[metric]),
            "selected_on": metrics.selected_on,
            "dev_rows": rows["dev"],
            "rows": rows,
            "tried": list(metrics.search.tried) if metrics.search else [],
            "curve": [row.numbers for row in read_rows(CurveRow, folder)],
            "cpu_s": round(read_record(RunRecord, folder).cpu_s, 1),
            "left_out": metrics.within_noise or "",
            "budget": self._budget(),
            **self.setting.provenance(),
        }


OF_A_GRID = {"teacher.no_better_than_majority": "warn"}
"""Values of every run of a grid that leaves such teachers out: its stage says so and goes on, and the grid has its row."""


def teacher_budget(values: object) -> dict[str, object]:
    """The field `budget` of a teacher."""
    sections = cast(dict[str, dict[str, object]], values)
    rates = cast(dict[str, list[float] | None], sections["search"])["teacher_rates"]
    return {
        "teacher_epochs": sections["teacher"]["epochs"],
        "teacher_patience": sections["teacher"]["patience"],
        "teacher_batch_size": sections["teacher"]["batch_size"],
        "teacher_rates": rates_text(rates, sections["teacher"]["learning_rate"]),
        "selected_by": sections["selected_by"],
    }


def rates_text(rates: list[float] | None, one: object) -> str:
    """Learning rates that are tried, or the one."""
    return ", ".join(f"{rate:g}" for rate in rates) if rates else f"{one:g}"


def read_teacher_rows(path: Path) -> list[TeacherResult]:
    """The rows of teachers, in the file's order. Raises ValueError with file, line and field for a bad one."""
    return [checked(TeacherResult, content, where) for where, content in read_lines(path) if "row" in content]


def latest_teacher_rows(rows: Iterable[TeacherResult]) -> list[TeacherResult]:
    """One row for each teacher: the latest by commit time, then by line."""
    return latest_of(rows, lambda row: (row.setup, row.dataset, row.seed))
