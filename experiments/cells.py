"""MPDistil's variants (meta-teacher's loss x reward x sampler) as points of a grid, and the row of each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import cast

from config.methods import by_family
from data.records import DatasetSpec
from experiments.grid_types import Point, Setting, evaluation, points_of_100
from experiments.result_rows import CellRow, append_row, read_rows
from outputs import evaluate_folder, output_folder, read_json, read_record, student_folder, tokens_folder
from outputs import read_rows as read_lines
from records.evaluated import EvaluateMetrics
from records.stage_run import RunRecord
from records.trained import CurriculumMetrics, EpisodeRow, MetaTeacherMetrics, StepRow

LOSSES = ("collaborative", "competitive", "competitive_probability")
# gain and alignment never read the meta-teacher, and the fixed samplers (uniform, target, kd_only) learn from no reward: one
# row of each stands for all losses, or for all rewards. The cheapest reward is logged with them.
VARIANTS = {
    "default": [("collaborative", "alignment", "policy")],
    "rewards": [
        *((loss, reward, "policy") for loss in LOSSES for reward in ("binary", "real")),
        ("collaborative", "gain", "policy"),
        ("collaborative", "alignment", "policy"),
    ],
    "samplers": [("collaborative", "real", sampler) for sampler in ("policy", "uniform", "target", "kd_only")],
    "gain": [("collaborative", "gain", "policy"), ("collaborative", "real", "uniform")],
    # The fixed samplers' rewards are logged on the probe, too: an even draw shows what each action is worth.
    "decoy": [
        ("collaborative", "gain", "policy"),
        ("collaborative", "alignment", "policy"),
        ("collaborative", "gain", "uniform"),
        ("collaborative", "gain", "target"),
    ],
}
VARIANTS["all"] = list(dict.fromkeys([*VARIANTS["rewards"], *VARIANTS["samplers"]]))
METHODS = ("finetune", "mse_kd", "mpdistil")
OPTIONS = ("actions_rows", "heads", "head_steps", "head_learning_rate", "gain_steps", "target_steps", "patience")
"""Keys of `curriculum` that a row's budget says where they are set: rows of before there were any have none."""


@dataclass(frozen=True)
class Cells:
    """Cells of a profile, one row each, unless the file has one of the same budget."""

    setting: Setting
    cells: Sequence[tuple[str, str, str]]
    values: Mapping[str, object] = field(default_factory=dict)
    """Of all points, over the profile's."""
    told: Mapping[str, object] = field(default_factory=dict)
    """Further entries of a row's budget."""

    def prepare(self) -> None:
        """Do nothing: a cell needs no preparation."""

    def points(self, dataset: str, seed: int) -> list[Point]:
        """The cells of a dataset and seed that have no row yet."""
        done = self._done(dataset, seed)
        return [self._point(dataset, seed, cell) for cell in self.cells if cell not in done]

    def finish(self, point: Point, tree: Path) -> None:
        """Append the row."""
        append_row(self.setting.rows, self._row(point, tree))

    def conclude(self) -> None:
        """Do nothing: a cell's row is complete."""

    def _point(self, dataset: str, seed: int, cell: tuple[str, str, str]) -> Point:
        values: dict[str, object] = {"seeds": [seed], "methods": by_family(METHODS), **self.values}
        values |= dict(zip(("meta_teacher.loss", "curriculum.reward", "curriculum.sampler"), cell, strict=True))
        targets = tuple(evaluation(dataset, method, seed) for method in METHODS)
        return Point(", ".join(cell), dataset, seed, values, targets)

    def _done(self, dataset: str, seed: int) -> set[tuple[str, str, str]]:
        if not self.setting.rows.exists():
            return set()
        return {
            (row.cell.meta_loss, row.cell.reward, row.cell.sampler)
            for row in read_rows(self.setting.rows)
            if self.has(row) and (row.dataset, row.seed) == (dataset, seed)
        }

    def has(self, row: CellRow) -> bool:
        """Return whether a row was made with this profile and budget."""
        budget = json.dumps(self._budget(), sort_keys=True)
        return (row.profile, row.budget) == (self.setting.profile, budget)

    def _budget(self) -> dict[str, object]:
        values = cast(dict[str, dict[str, object]], self.setting.values)
        return {
            "teacher_epochs": values["teacher"]["epochs"],
            "student_epochs": values["student"]["epochs"],
            "episodes": values["curriculum"]["episodes"],
            "steps_per_episode": values["curriculum"]["max_steps_per_episode"],
            "probe_rows": values["curriculum"]["probe_rows"],
            "actions": ", ".join(cast(Sequence[str], self.values.get("datasets", self.setting.actions))),
            **{name: value for name in OPTIONS if (value := values["curriculum"].get(name)) is not None},
            **self.told,
        }

    def _row(self, point: Point, tree: Path) -> dict[str, object]:
        """One line of the runs file: scores on dev, and beside them those on selection, in points of 100."""
        dataset, seed = point.dataset, point.seed
        folders = {name: tree / evaluate_folder(dataset, name, seed) for name in METHODS}
        evaluated = {name: read_record(EvaluateMetrics, folder) for name, folder in folders.items()}
        student = tree / student_folder(dataset, "mpdistil", seed)
        meta_teacher = tree / output_folder("meta_teacher", dataset=dataset, seed=seed)
        curriculum, meta = read_record(CurriculumMetrics, student), read_record(MetaTeacherMetrics, meta_teacher)
        metric = DatasetSpec.from_json(read_json(tree / tokens_folder(dataset) / "spec.json")).metrics[0]

        def scores(split: str) -> dict[str, float]:
            found = {"teacher": evaluated["mpdistil"].scores[f"teacher_{split}"], "meta_teacher": meta.scores[split]}
            found |= {name: content.scores[split] for name, content in evaluated.items()}
            return {name: points_of_100(content[metric]) for name, content in found.items()}

        episodes = [row for row in read_lines(EpisodeRow, student) if row.episode > 0]
        # What is this cell's own: the rest is shared with the others.
        own = [read_record(RunRecord, folder) for folder in (meta_teacher, student, folders["mpdistil"])]
        return {
            "dataset": dataset,
            "seed": seed,
            "metric": metric,
            "cell": {
                "meta_loss": point.values["meta_teacher.loss"],
                "reward": point.values["curriculum.reward"],
                "sampler": point.values["curriculum.sampler"],
                "preset": "default",
            },
            "scores": scores("dev"),
            "selection_scores": scores("selection"),
            "selection_loss": {name: content.selection["loss"] for name, content in evaluated.items()},
            "best_episode": curriculum.best_episode,
            "cumulative_share": curriculum.cumulative_share,
            "late_share": _means([row.shares for row in episodes[len(episodes) // 2 :]]),
            "mean_reward": _means(
                [{row.action: row.reward} for row in read_lines(StepRow, student) if row.reward is not None]
            ),
            "dev_rows": evaluated["mpdistil"].rows["dev"],
            "selected_on": curriculum.selected_on,
            "budget": self._budget(),
            "duration_s": round(sum(record.duration_s for record in own), 1),
            **self.setting.provenance(),
        }


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each name over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(fmean(row[name] for row in rows if name in row), 6) for name in names}


def _cell(values: Mapping[str, object]) -> tuple[str, str, str]:
    return str(values["meta_teacher.loss"]), str(values["curriculum.reward"]), str(values["curriculum.sampler"])
