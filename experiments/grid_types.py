"""Types shared by all grids: points with values and targets, their common setting, and its fields of a row."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from config.methods import family_of
from data.records import DatasetSpec
from experiments.pipeline_runs import ROOT, Pipeline
from outputs import read_json, tokens_folder

EVALUATES = {
    "student": "evaluate",
    "assisted": "evaluate_assisted_student",
    "meta_taught": "evaluate_meta_student",
    "multi_task": "evaluate_multi_task",
    "curriculum": "evaluate_curriculum",
}
"""Family -> the stage of dvc.yaml that evaluates its students."""


@dataclass(frozen=True)
class Point:
    """One run of the pipeline on one dataset and seed."""

    name: str
    dataset: str
    seed: int
    values: Mapping[str, object]
    """Values of params.yaml by dotted key, over the grid's own."""
    targets: tuple[str, ...]
    """Stages whose outputs are read, by their DVC names."""


@dataclass(frozen=True)
class Setting:
    """Profile, file of rows and work folder of a grid, which its points share."""

    pipeline: Pipeline
    values: Mapping[str, object]
    """The params file that all points start from."""
    rows: Path
    """File of JSON lines that rows are appended to."""
    work: Path
    """Folder of the kept outputs."""
    command: str

    @property
    def profile(self) -> str:
        """Name of the params file that the grid starts from."""
        return self.pipeline.profile.stem

    @property
    def actions(self) -> list[str]:
        """The profile's datasets: the actions of a curriculum."""
        return cast(list[str], self.values["datasets"])

    def spec(self, dataset: str, root: Path) -> DatasetSpec:
        """A dataset's description below a root that has its split."""
        return DatasetSpec.from_json(read_json(root / tokens_folder(dataset) / "spec.json"))

    def provenance(self) -> dict[str, object]:
        """The fields of a row that describe its setting."""
        command = ["git", "show", "--no-patch", "--format=%H %cI"]
        commit, time = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        return {
            "profile": self.profile,
            "machine": f"{platform.machine()} CPU, {os.cpu_count()} cores, {self.values['threads']} thread a stage",
            "commit": commit,
            "commit_time": time,
            "command": self.command,
        }


def evaluation(dataset: str, method: str, seed: int) -> str:
    """DVC's name of the stage that evaluates a student."""
    family, name = family_of(method)
    return f"{EVALUATES[family]}@{dataset}-{name}-{seed}"


def points_of_100(score: float) -> float:
    """A score as rows have it."""
    return round(100 * score, 4)
