"""Reads what methods recorded while they trained: curricula and rewards (mpdistil), influence of rows (lgtm), settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from kinds import Floats
from outputs import output_folder
from reporting.effort import CURRICULUM_METHOD
from reporting.reading import must_exist, numbers, read_lines, read_object

LEVELS = ("reward_binary", "reward_real")


@dataclass(frozen=True)
class CurriculumRecord:
    """One curriculum of MPDistil, and the meta-teacher before it."""

    loss: str
    """The meta-teacher's loss, by name."""
    meta_teacher_losses: list[float]
    """On selection after each epoch, from 0: the teacher's own head."""
    reward: str
    rewards: list[float]
    """Of every step."""
    levels: list[tuple[float, float]]
    """Both rewards of the paper, binary and real, of every step; [] where only one was recorded."""
    quiz_scores: tuple[Floats, Floats] | None
    """Probability of the true class of the quiz rows by the meta-teacher's head: of teacher and student, each (N,)."""
    shares: dict[str, float]
    """Dataset -> share of all steps."""
    similarities: list[float]
    distances: list[float]
    """Of consecutive episodes."""


@dataclass(frozen=True)
class InfluenceRow:
    """What one training row was worth at one step, and what both networks gave its true class."""

    step: int
    row: int
    influence: float
    student: float
    teacher: float


@dataclass(frozen=True)
class Records:
    """Of one dataset; keys are seeds, for `prokd_temperature` (method or variant, seed)."""

    name: str
    curricula: dict[int, CurriculumRecord] = field(default_factory=dict)
    influence: dict[int, list[InfluenceRow]] = field(default_factory=dict)
    prokd_temperature: dict[tuple[str, int], bool] = field(default_factory=dict)


def read_records(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Records]:
    """All that the methods recorded; what they did not record is left out."""
    found = [Records(name) for name in datasets]
    for records in found:
        for seed in seeds:
            if CURRICULUM_METHOD in methods:
                _add_curriculum(records, seed)
            for method in methods:
                _add_student(records, method, seed)
    return found


def _add_curriculum(records: Records, seed: int) -> None:
    folder = output_folder("curriculum", dataset=records.name, seed=seed)
    before = output_folder("meta_teacher", dataset=records.name, seed=seed)
    if not (folder / "steps.jsonl").exists() or not (before / "curves.jsonl").exists():
        return
    metrics, steps = read_object(folder / "metrics.json"), [numbers(row) for row in read_lines(folder / "steps.jsonl")]
    losses = [numbers(row) for row in read_lines(before / "curves.jsonl")]
    records.curricula[seed] = CurriculumRecord(
        loss=str(read_object(before / "metrics.json").get("loss", "")),
        meta_teacher_losses=[row["selection_loss"] for row in losses if "selection_loss" in row],
        reward=str(metrics.get("reward", "")),
        rewards=[row["reward"] for row in steps if "reward" in row],
        levels=[(row["reward_binary"], row["reward_real"]) for row in steps if {*LEVELS} <= row.keys()],
        quiz_scores=_quiz_scores(before / "head" / "quiz.safetensors"),
        shares=numbers(metrics.get("cumulative_share")),
        similarities=_list(metrics.get("similarity_of_consecutive")),
        distances=_list(metrics.get("distance_of_consecutive")),
    )


def _quiz_scores(path: Path) -> tuple[Floats, Floats] | None:
    """What the head of a meta-teacher gives teacher and student; None where it kept only the teacher's."""
    if not path.exists():
        return None
    must_exist(path)
    said = load_file(path)
    if "student_scores" not in said:
        return None
    return said["scores"].astype(np.float64), said["student_scores"].astype(np.float64)


def _add_student(records: Records, method: str, seed: int) -> None:
    folder = output_folder("student", dataset=records.name, method=method, seed=seed)
    if (folder / "influence.jsonl").exists():
        rows = [numbers(row) for row in read_lines(folder / "influence.jsonl")]
        records.influence[seed] = [
            InfluenceRow(int(row["step"]), int(row["row"]), row["influence"], row["student"], row["teacher"])
            for row in rows
        ]
    if method.partition("-")[0] == "prokd" and (folder / "run.json").exists():
        params = read_object(folder / "run.json").get("params")
        section = params.get("prokd") if isinstance(params, Mapping) else None
        if isinstance(section, Mapping):
            records.prokd_temperature[method, seed] = bool(section.get("temperature", True))


def _list(value: object) -> list[float]:
    return [float(item) for item in value if isinstance(item, int | float)] if isinstance(value, list) else []
