"""Errors of exhausted resources, in one line with the way out: full or read-only disk, out of memory."""

import errno
import os
import re
from pathlib import Path

from pydantic import BaseModel
from safetensors import SafetensorError

from config.parameters import Parameters
from outputs import OUTPUTS

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
# What makes a stage's memory large, by its keys in params.yaml; `METHOD` stands for the method's own section.
LENGTH = "split.max_length"
STUDENT = ("student.batch_size", "METHOD.quiz_batches", "METHOD.quiz_batch_size", "evaluate.batch_size", LENGTH)
MEMORY_KEYS: dict[str, tuple[str, ...]] = {
    "teacher": ("teacher.batch_size", "evaluate.batch_size", LENGTH),
    "signals": ("signals.batch_size", LENGTH),
    "assistant": STUDENT,
    "student": STUDENT,
    "assisted_student": STUDENT,
    "meta_student": STUDENT,
    "meta_teacher": ("meta_teacher.batch_size", "evaluate.batch_size", LENGTH),
    "curriculum": ("curriculum.batch_size", "curriculum.probe_rows", "evaluate.batch_size", LENGTH),
    "multi_task": ("curriculum.batch_size", "evaluate.batch_size", LENGTH),
    "evaluate": ("evaluate.batch_size", "evaluate.latency_batch", "evaluate.throughput_batch", LENGTH),
}
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
NO_MEMORY = re.compile(r"can't allocate memory|out of memory|cannot allocate memory|bad_alloc", re.IGNORECASE)


def disk_error(error: BaseException) -> str | None:
    """Name the file and the reason if the disk is full or not writable; None for any other error."""
    if isinstance(error, OSError):
        number, place = error.errno, error.filename or OUTPUTS.absolute()
    elif isinstance(error, SafetensorError):  # it has the number in its text only
        found = re.search(r"os error (\d+)", str(error))
        number, place = int(found[1]) if found else None, OUTPUTS.absolute()
    else:
        return None
    if number in NO_FOLDER and (found := _file_in_the_way(Path(os.fsdecode(str(place))))):
        return f"{found} is a file, and has to be a folder; move it away and run it again"
    if number is None or number not in (*FULL, *CLOSED):
        return None
    way_out = "make room" if number in FULL else "make it writable"
    return f"{os.strerror(number)}: {_shown(place)}; {way_out} and run it again. Nothing half-written was left there"


def _file_in_the_way(place: Path) -> Path | None:
    """The file under outputs/, or outputs/ itself, that blocks a path as a non-folder."""
    tops = (OUTPUTS, OUTPUTS.absolute())
    above = [path for path in (place, *place.parents) if any(path.is_relative_to(top) for top in tops)]
    return next((path for path in above if path.exists() and not path.is_dir()), None)


def no_memory(error: BaseException, stage: str, given: Parameters, method: str = "") -> str | None:
    """Name the keys that make the stage smaller, with their values, if memory ran out; None for any other error."""
    if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
        return None
    asked = re.search(r"(?:allocate|allocating|alloc of size) ([\d.]+ ?(?:[KMGT]i?B|bytes)?)", str(error))
    size = f" ({asked[1].strip()} more were asked for)" if asked else ""
    keys = [key.replace("METHOD", method) for key in MEMORY_KEYS.get(stage, ())]
    values = {key: _value(given, key) for key in keys}
    smaller = ", ".join(f"{key} ({value})" for key, value in values.items() if value is not None)
    way_out = f"lower {smaller}, or use" if smaller else "use"
    return f"out of memory{size}; {way_out} a machine with more of it. Nothing half-written was left"


def _value(given: Parameters, key: str) -> object:
    """A value of params.yaml by its path; None if it is null or there is no such key."""
    value: object = given
    for part in key.split("."):
        value = getattr(value, part, None) if isinstance(value, BaseModel) else None
    return value


def _shown(place: object) -> str:
    """A path for people, without the temporary folder of a failed output."""
    path = Path(os.fsdecode(place) if isinstance(place, bytes) else str(place))
    return str(OUTPUTS.absolute() if ".partial" in path.parts else path)
