"""What a method's student took: labelled rows, updates, CPU time, peak memory, from the records of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from outputs import OUTPUTS, output_folder
from reporting.reading import numbers, read_object

CURRICULUM_METHOD = "mpdistil"
MULTI_TASK = "_multi"
"""What ends the name of a student that went on from another's, as MPDistil's does."""


@dataclass(frozen=True)
class Effort:
    """Of one training, or the mean of several. Teacher and signals, which all methods share, are not in it.

    None where the stages' records do not say.
    """

    train_rows: float | None
    """Labelled rows of its dataset that the student was trained on."""
    other_rows: float | None
    """Those of other datasets."""
    feedback_rows: float | None
    """Labelled rows that only its teacher learnt from while, or before, it taught: metadistil, lgtm, the meta-teacher."""
    student_updates: float | None
    """All that were made; a curriculum's and its base's together."""
    kept_updates: float | None
    """Until the student had the weights that were kept."""
    teacher_updates: float | None
    """Of a teacher that moves with the student, or of an assistant that was made for it."""
    cpu_s: float
    peak_memory_mb: float


def effort_of(dataset: str, method: str, seed: int) -> Effort | None:
    """What one student took; with it its assistant, or the student that it went on from. None if it was not trained.

    MPDistil's: base, meta-teacher and curriculum.
    """
    folder = output_folder("student", dataset=dataset, method=method, seed=seed)
    if not (folder / "run.json").exists():
        return None
    # Where the result is a link into another outputs folder, what it was made from lies there.
    outputs = folder.resolve().parents[3]
    if method != CURRICULUM_METHOD and not method.endswith(MULTI_TASK):
        return _with_assistant(outputs, folder, dataset, method, seed)
    if method == CURRICULUM_METHOD:
        base, others = base_of(folder), [_beside(outputs, "meta_teacher", dataset, None, seed)]
    else:
        base, others = method.removesuffix(MULTI_TASK), []
    own = _together([_of_stage(part) for part in (folder, *others) if _ran(part)])
    came_in = _beside(outputs, "student", dataset, base, seed)
    if not _ran(came_in):
        return replace(own, student_updates=None, kept_updates=None, teacher_updates=None)
    before = _with_assistant(outputs, came_in, dataset, base, seed)
    return replace(
        _together([own, before]),
        student_updates=_sum(before.student_updates, own.student_updates),
        kept_updates=_sum(before.kept_updates, own.kept_updates),
        teacher_updates=before.teacher_updates,
    )


def mean_effort(efforts: Sequence[Effort]) -> Effort | None:
    """The mean of several trainings, of the peak memory the highest; None if there are none."""
    if not efforts:
        return None
    return Effort(
        train_rows=_mean([one.train_rows for one in efforts]),
        other_rows=_mean([one.other_rows for one in efforts]),
        feedback_rows=_mean([one.feedback_rows for one in efforts]),
        student_updates=_mean([one.student_updates for one in efforts]),
        kept_updates=_mean([one.kept_updates for one in efforts]),
        teacher_updates=_mean([one.teacher_updates for one in efforts]),
        cpu_s=float(np.mean([one.cpu_s for one in efforts])),
        peak_memory_mb=max(one.peak_memory_mb for one in efforts),
    )


def _with_assistant(outputs: Path, folder: Path, dataset: str, method: str, seed: int) -> Effort:
    """What a student took whose assistant, if it has one, was made for it alone."""
    own, assistant = _of_stage(folder), _beside(outputs, "assistant", dataset, method, seed)
    if not _ran(assistant):
        return own
    made = numbers(_metrics(assistant).get("updates")).get("assistant")
    return replace(_together([own, _of_stage(assistant)]), teacher_updates=_sum(own.teacher_updates, made))


def _together(parts: Sequence[Effort]) -> Effort:
    """The first with the time and the memory of all, which ran one after the other."""
    time, memory = sum(part.cpu_s for part in parts), max(part.peak_memory_mb for part in parts)
    return replace(parts[0], cpu_s=time, peak_memory_mb=memory)


def _of_stage(folder: Path) -> Effort:
    record, metrics = numbers(read_object(folder / "run.json")), _metrics(folder)
    rows, updates = numbers(metrics), numbers(metrics.get("updates"))
    return Effort(
        train_rows=rows.get("train_rows"),
        other_rows=rows.get("other_rows"),
        feedback_rows=rows.get("feedback_rows"),
        student_updates=updates.get("student"),
        kept_updates=updates.get("student_kept"),
        teacher_updates=updates.get("teacher"),
        cpu_s=record.get("cpu_s", 0.0),
        peak_memory_mb=record.get("peak_memory_mb", 0.0),
    )


def _metrics(folder: Path) -> Mapping[str, object]:
    return read_object(folder / "metrics.json") if (folder / "metrics.json").exists() else {}


def _ran(folder: Path) -> bool:
    return (folder / "run.json").exists()


def _beside(outputs: Path, stage: str, dataset: str, method: str | None, seed: int) -> Path:
    """A stage's folder in another outputs folder."""
    return outputs / output_folder(stage, dataset=dataset, method=method, seed=seed).relative_to(OUTPUTS)


def base_of(folder: Path) -> str:
    """The method whose student a curriculum went on from."""
    params = read_object(folder / "run.json").get("params")
    section = params.get(CURRICULUM_METHOD) if isinstance(params, Mapping) else None
    base = section.get("base") if isinstance(section, Mapping) else None
    return str(base or "mse_kd")


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
