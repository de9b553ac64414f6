"""Evaluations and records of a grid's runs, kept where `reporting.compare` finds them.

WORK/points/NAME/outputs has those of one method or variant; WORK/outputs links to them, a method each, as the pipeline's
own outputs are, so that `cd WORK && python -m reporting.compare --params all.yaml --methods all` sees them all.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.methods import CURRICULA, method_of
from data.atomic_files import whole_file
from data.records import DatasetSpec
from experiments.grid_types import Point
from outputs import (
    OUTPUTS,
    evaluate_folder,
    has_record,
    output_folder,
    read_json,
    read_record,
    read_rows,
    student_folder,
    tokens_folder,
)
from records.evaluated import EvaluateMetrics
from records.prepared import SplitMetrics
from records.stage_run import RunRecord
from records.trained import CurveRow, EpisodeRow, StudentMetrics, student_metrics_of
from reporting.effort import Effort, effort_of

LARGE = shutil.ignore_patterns("code", "rows", "tokenizer", "*.arrow", "model", "trajectory", "signals", "seen", "head")
"""Not kept: rows, weights and outputs of networks, since DVC's cache has them."""


@dataclass(frozen=True)
class KeptTraining:
    """The fields of a row on how a student was chosen."""

    tried: list[dict[str, object]]
    """Settings of its search; none without one."""
    curve: list[dict[str, float]]
    """Epochs of the setting that was kept; a curriculum's episodes."""


@dataclass(frozen=True)
class KeptOutputs:
    """A work folder."""

    work: Path

    def keep_splits(self, tree: Path) -> None:
        """Keep the datasets' descriptions and row counts."""
        _copy_records(tree / OUTPUTS / "split", self.work / OUTPUTS / "split")

    def keep(self, point: Point, tree: Path) -> None:
        """Keep a point's evaluation, and the records of all stages before it."""
        _copy_records(tree / OUTPUTS, self._folder(point.name) / OUTPUTS)
        with whole_file(self._values(point.name, point.dataset, point.seed)) as file:
            file.write(json.dumps(dict(point.values)).encode())
        self.show(point.name, point.name, point.dataset, point.seed)

    def has(self, point: Point) -> bool:
        """Check that a point's run used its present values."""
        path = self._values(point.name, point.dataset, point.seed)
        return path.exists() and path.read_text(encoding="utf-8") == json.dumps(dict(point.values))

    def show(self, name: str, shown_as: str, dataset: str, seed: int) -> None:
        """Link the student of a point to the folder where a comparison expects that of a method or variant."""
        own = method_of(name)
        links = {
            folder(dataset, shown_as, seed): folder(dataset, own, seed) for folder in (student_folder, evaluate_folder)
        }
        if shown_as in CURRICULA:
            meta_teacher = output_folder("meta_teacher", dataset=dataset, seed=seed)
            links[meta_teacher] = meta_teacher
        for place, target in links.items():
            link = self.work / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self._folder(name) / target)

    def split_rows(self, dataset: str) -> dict[str, int]:
        """Rows of each split."""
        return read_record(SplitMetrics, self.work / output_folder("split", dataset=dataset)).rows

    def spec(self, dataset: str) -> DatasetSpec:
        """A dataset's description."""
        return DatasetSpec.from_json(read_json(self.work / tokens_folder(dataset) / "spec.json"))

    def evaluation(self, name: str, dataset: str, seed: int) -> Path:
        """Folder of the evaluation of a point's student."""
        return self._folder(name) / evaluate_folder(dataset, method_of(name), seed)

    def evaluated(self, name: str, dataset: str, seed: int) -> EvaluateMetrics:
        """The evaluation of a point's student."""
        return read_record(EvaluateMetrics, self.evaluation(name, dataset, seed))

    def training(self, name: str, dataset: str, seed: int) -> KeptTraining:
        """Search and epochs of a point's student, as far as its stage has any."""
        folder = self._folder(name) / student_folder(dataset, method_of(name), seed)
        if not has_record(folder):
            return KeptTraining([], [])
        kind = student_metrics_of(read_record(RunRecord, folder).stage)
        if kind is not StudentMetrics:
            return KeptTraining([], [row.numbers for row in read_rows(EpisodeRow, folder)])
        search = read_record(StudentMetrics, folder).search
        curve = [row.numbers for row in read_rows(CurveRow, folder)]
        return KeptTraining([dict(one) for one in search.tried] if search else [], curve)

    def parameters(self, name: str, dataset: str, seed: int) -> dict[str, object]:
        """The values of params.yaml that a point's student was trained with."""
        return read_record(RunRecord, self._folder(name) / student_folder(dataset, method_of(name), seed)).params

    def effort(self, name: str, dataset: str, seed: int) -> Effort:
        """Training effort for a point's student."""
        found = effort_of(dataset, method_of(name), seed, self._folder(name))
        assert found is not None, f"{name} was kept without the records of its student"
        return found

    def selection_losses(self, name: str, dataset: str, seeds: Sequence[int]) -> list[float]:
        """Selection loss of the student of each seed that has one."""
        done = [seed for seed in seeds if self._values(name, dataset, seed).exists()]
        return [self.evaluated(name, dataset, seed).selection["loss"] for seed in done]

    def _folder(self, name: str) -> Path:
        return self.work / "points" / name

    def _values(self, name: str, dataset: str, seed: int) -> Path:
        return self._folder(name) / f"{dataset}-{seed}.json"


def _copy_records(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=LARGE, dirs_exist_ok=True)
