"""What training a method's student took: updates of both networks, CPU time, peak memory, from the stages' records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasks.reporting.reading import numbers, read_lines, read_object
from tasks.running.layout import OUTPUTS, output_folder

CURRICULUM_METHOD = "mpdistil"


@dataclass(frozen=True)
class Effort:
    """Of one training, or the mean of several. Teacher and signals, which all methods share, are not in it."""

    student_updates: float | None
    """None where the stage's record does not say."""
    teacher_updates: float | None
    cpu_s: float
    peak_memory_mb: float


def effort_of(dataset: str, method: str, seed: int) -> Effort | None:
    """What one student took; with it its assistant. MPDistil's: base, meta-teacher and curriculum. None if not trained."""
    folder = output_folder("student", dataset=dataset, method=method, seed=seed)
    if not (folder / "run.json").exists():
        return None
    if method != CURRICULUM_METHOD:
        assistant = output_folder("assistant", dataset=dataset, method=method, seed=seed)
        return _together([folder, *([assistant] if (assistant / "run.json").exists() else [])])
    # Where the result is a link into another outputs folder, what it was made from lies there.
    outputs = folder.resolve().parents[3]
    meta_teacher = outputs / output_folder("meta_teacher", dataset=dataset, seed=seed).relative_to(OUTPUTS)
    made_from = output_folder("student", dataset=dataset, method=_base(folder), seed=seed)
    base = outputs / made_from.relative_to(OUTPUTS)
    whole = _together([part for part in (base, meta_teacher, folder) if (part / "run.json").exists()])
    steps = len(read_lines(folder / "steps.jsonl")) if (folder / "steps.jsonl").exists() else 0
    updates = _of_stage(base).student_updates if (base / "run.json").exists() else None
    return replace(whole, student_updates=None if updates is None else updates + steps, teacher_updates=0.0)


def _together(folders: Sequence[Path]) -> Effort:
    """What several stages took one after the other; the updates are those of the first."""
    parts = [_of_stage(folder) for folder in folders]
    time, memory = sum(part.cpu_s for part in parts), max(part.peak_memory_mb for part in parts)
    return replace(parts[0], cpu_s=time, peak_memory_mb=memory)


def mean_effort(efforts: Sequence[Effort]) -> Effort | None:
    """The mean of several trainings, of the peak memory the highest; None if there are none."""
    if not efforts:
        return None
    return Effort(
        student_updates=_mean([one.student_updates for one in efforts]),
        teacher_updates=_mean([one.teacher_updates for one in efforts]),
        cpu_s=float(np.mean([one.cpu_s for one in efforts])),
        peak_memory_mb=max(one.peak_memory_mb for one in efforts),
    )


def _of_stage(folder: Path) -> Effort:
    record = numbers(read_object(folder / "run.json"))
    metrics = read_object(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    updates = numbers(metrics.get("updates"))
    return Effort(
        updates.get("student"), updates.get("teacher"), record.get("cpu_s", 0.0), record.get("peak_memory_mb", 0.0)
    )


def _base(folder: Path) -> str:
    """The method whose student a curriculum went on from."""
    params = read_object(folder / "run.json").get("params")
    section = params.get(CURRICULUM_METHOD) if isinstance(params, Mapping) else None
    base = section.get("base") if isinstance(section, Mapping) else None
    return str(base or "mse_kd")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
