"""Training effort of a method's student: labelled rows, updates, CPU time, peak memory, from the stages' records."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from config.methods import CURRICULUM
from outputs import OUTPUTS, has_record, output_folder, read_record, student_folder
from records.stage_run import RunRecord
from records.trained import AssistantMetrics, student_metrics_of


@dataclass(frozen=True)
class Effort:
    """Effort of one training, or the mean of several, without teacher and signals, which all methods share.

    None where the stages' records do not say.
    """

    train_rows: float | None
    """Labelled rows of its dataset used for training the student."""
    other_rows: float | None
    """Labelled rows of other datasets."""
    feedback_rows: float | None
    """Labelled rows used by its teacher only: metadistil, lgtm, the meta-teacher."""
    student_updates: float | None
    """All updates; for a curriculum including its base's."""
    kept_updates: float | None
    """Updates until the kept weights."""
    teacher_updates: float | None
    """Updates of a teacher that trains with the student, or of an assistant."""
    cpu_s: float
    peak_memory_mb: float


def effort_of(dataset: str, method: str, seed: int, root: Path = Path()) -> Effort | None:
    """Total effort of one student, including its assistant or base student. None if it was not trained.

    MPDistil's: base, meta-teacher and curriculum.
    """
    folder = root / student_folder(dataset, method, seed)
    if not has_record(folder):
        return None
    # Where the result is a link into another outputs folder, what it was made from lies there.
    outputs, run = folder.resolve().parents[3], read_record(RunRecord, folder)
    own, base = _of_student(folder, run), base_of(run)
    if base is None:
        return _with_assistant(own, _beside(outputs, "assistant", dataset, method, seed))
    meta_teacher = _beside(outputs, "meta_teacher", dataset, None, seed)
    if run.stage == "curriculum" and has_record(meta_teacher):
        own = _after(read_record(RunRecord, meta_teacher), own)
    came_in = _beside(outputs, "student", dataset, base, seed)
    if not has_record(came_in):
        return replace(own, student_updates=None, kept_updates=None, teacher_updates=None)
    before = _of_student(came_in, read_record(RunRecord, came_in))
    before = _with_assistant(before, _beside(outputs, "assistant", dataset, base, seed))
    return replace(
        _after(before, own),
        student_updates=_sum(before.student_updates, own.student_updates),
        kept_updates=_sum(before.kept_updates, own.kept_updates),
        teacher_updates=before.teacher_updates,
    )


def base_of(run: RunRecord) -> str | None:
    """The method of the base student of a curriculum or multi-task training; None for any other student."""
    if run.stage == "curriculum":
        return str(run.parameter(f"{CURRICULUM}.base"))
    return run.method if run.stage == "multi_task" else None


def mean_effort(efforts: Sequence[Effort]) -> Effort | None:
    """The mean of several trainings, with the highest peak memory; None if there are none."""
    if not efforts:
        return None
    counts = ("train_rows", "other_rows", "feedback_rows", "student_updates", "kept_updates", "teacher_updates")
    return Effort(
        **{name: _mean([getattr(one, name) for one in efforts]) for name in counts},
        cpu_s=float(np.mean([one.cpu_s for one in efforts])),
        peak_memory_mb=max(one.peak_memory_mb for one in efforts),
    )


def _with_assistant(own: Effort, assistant: Path) -> Effort:
    """The effort of a student including its own assistant, if it has one."""
    if not has_record(assistant):
        return own
    made = read_record(AssistantMetrics, assistant).updates.assistant
    return replace(_after(read_record(RunRecord, assistant), own), teacher_updates=_sum(own.teacher_updates, made))


def _after(before: RunRecord | Effort, own: Effort) -> Effort:
    """An effort with time and memory of the preceding stages added."""
    return replace(own, cpu_s=own.cpu_s + before.cpu_s, peak_memory_mb=max(own.peak_memory_mb, before.peak_memory_mb))


def _of_student(folder: Path, run: RunRecord) -> Effort:
    metrics = read_record(student_metrics_of(run.stage), folder)
    return Effort(
        train_rows=metrics.train_rows,
        other_rows=metrics.other_rows,
        feedback_rows=metrics.feedback_rows,
        student_updates=metrics.updates.student,
        kept_updates=metrics.updates.student_kept,
        teacher_updates=metrics.updates.teacher,
        cpu_s=run.cpu_s,
        peak_memory_mb=run.peak_memory_mb,
    )


def _beside(outputs: Path, stage: str, dataset: str, method: str | None, seed: int) -> Path:
    """A stage's folder under another outputs folder."""
    return outputs / output_folder(stage, dataset=dataset, method=method, seed=seed).relative_to(OUTPUTS)


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
