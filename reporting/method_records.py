"""Training records of methods: curricula and rewards (mpdistil), influence of rows (lgtm), settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from config.methods import CURRICULUM, method_of, row_of
from kinds import Floats
from outputs import has_record, must_exist, output_folder, read_record, read_rows, student_folder
from records.stage_run import RunRecord
from records.trained import CurriculumMetrics, CurveRow, InfluenceRow, MetaTeacherMetrics, StepRow


@dataclass(frozen=True)
class CurriculumRecord:
    """One curriculum of MPDistil, and its meta-teacher."""

    loss: str
    """The meta-teacher's loss, by name."""
    meta_teacher_losses: list[float]
    """Selection loss after each epoch, from 0: the teacher's own head."""
    reward: str
    rewards: list[float]
    """Reward of every step."""
    levels: list[tuple[float, float]]
    """Both rewards of the paper, binary and real, for every step; [] if only one was recorded."""
    quiz_scores: tuple[Floats, Floats] | None
    """Probability of the true class of the quiz rows by the meta-teacher's head: of teacher and student, each (N,)."""
    shares: dict[str, float]
    """Dataset -> share of all steps."""
    similarities: Sequence[float]
    distances: Sequence[float]
    """Of consecutive episodes."""


@dataclass(frozen=True)
class Records:
    """All records of one dataset; keys are seeds, for `ablations` (method or variant, seed)."""

    name: str
    curricula: dict[int, CurriculumRecord] = field(default_factory=dict)
    influence: dict[int, list[InfluenceRow]] = field(default_factory=dict)
    ablations: dict[tuple[str, int], bool] = field(default_factory=dict)
    """Setting of the parameter that the method's row names."""


def read_records(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Records]:
    """All available records of the methods."""
    found = [Records(name) for name in datasets]
    for records in found:
        for seed in seeds:
            if CURRICULUM in methods:
                _add_curriculum(records, seed)
            for method in methods:
                _add_student(records, method, seed)
    return found


def _add_curriculum(records: Records, seed: int) -> None:
    folder = output_folder("curriculum", dataset=records.name, method=CURRICULUM, seed=seed)
    before = output_folder("meta_teacher", dataset=records.name, seed=seed)
    if not (folder / StepRow.FILE).exists() or not (before / CurveRow.FILE).exists():
        return
    metrics, steps = read_record(CurriculumMetrics, folder), read_rows(StepRow, folder)
    records.curricula[seed] = CurriculumRecord(
        loss=read_record(MetaTeacherMetrics, before).loss or "",
        meta_teacher_losses=[row.numbers["selection_loss"] for row in read_rows(CurveRow, before)],
        reward=metrics.reward or "",
        rewards=[row.reward for row in steps if row.reward is not None],
        levels=[
            (row.reward_binary, row.reward_real)
            for row in steps
            if row.reward_binary is not None and row.reward_real is not None
        ],
        quiz_scores=_quiz_scores(before / "head" / "quiz.safetensors"),
        shares=metrics.cumulative_share,
        similarities=metrics.similarity_of_consecutive,
        distances=metrics.distance_of_consecutive,
    )


def _quiz_scores(path: Path) -> tuple[Floats, Floats] | None:
    """Scores of a meta-teacher's head for teacher and student; None where it kept only the teacher's."""
    if not path.exists():
        return None
    must_exist(path)
    said = load_file(path)
    if "student_scores" not in said:
        return None
    return said["scores"].astype(np.float64), said["student_scores"].astype(np.float64)


def _add_student(records: Records, method: str, seed: int) -> None:
    folder = student_folder(records.name, method, seed)
    if (folder / InfluenceRow.FILE).exists():
        records.influence[seed] = read_rows(InfluenceRow, folder)
    own = row_of(method_of(method))
    if own.ablation is not None and has_record(folder):
        setting = read_record(RunRecord, folder).parameter(f"{own.name}.{own.ablation}")
        records.ablations[method, seed] = setting is not False
