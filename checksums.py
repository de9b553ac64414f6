"""Checksums of the files that a stage wrote, kept in its run.json, and their verification by readers.

A safetensors, Arrow or Parquet file of which a bit has flipped still opens; only its sum tells. The sums lie in the
record beside `model`, `signals`, `tokens` and the like, so that those folders hold nothing but what their readers know.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from errors import UserError
from records.stage_run import PastRun, RunRecord

RECORD = RunRecord.FILE


def file_sums(path: Path) -> dict[Path, str]:
    """sha256 (hex) of a file, or of every file of a folder, in the order of their paths."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {file: sum_of(file) for file in files}


def stamps(path: Path) -> dict[Path, tuple[int, int]]:
    """Size and modification time (ns) of a file, or of every file of a folder: a cheap test for changed bytes."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    found = {file: file.stat() for file in files}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in found.items()}


def unchanged_since(path: Path, before: Mapping[Path, tuple[int, int]], own: str) -> bool:
    """Return whether a file or folder still has the stamps `before`, or else the sum `own` (`combined`)."""
    try:
        return stamps(path) == before or combined(path, file_sums(path)) == own
    except FileNotFoundError:
        return False


def combined(path: Path, sums: Mapping[Path, str]) -> str:
    """Combine the checksums of the files under `path`, and their relative names, into one sha256."""
    digest = hashlib.sha256()
    for file, own in sums.items():
        digest.update(str(file.relative_to(path)).encode())
        digest.update(bytes.fromhex(own))
    return digest.hexdigest()


def sums_for_record(folder: Path) -> dict[str, str]:
    """Checksums of every other file of a stage's output by its name in there, for run.json."""
    return {str(file.relative_to(folder)): own for file, own in file_sums(folder).items() if file.name != RECORD}


def check_unchanged(path: Path, sums: Mapping[Path, str], top: Path) -> None:
    """Compare a file or folder under `top` with the records of the stages that wrote it.

    A part without a record (a folder that no stage made) passes. Raises UserError for a file that changed, is
    missing, or was added; hidden files may be added.
    """
    if not path.is_relative_to(top):
        return
    for folder in _recorded(path, top):
        kept = _kept_sums(folder / RECORD)
        if kept is None:
            continue
        expected = {folder / name: own for name, own in kept.items() if (folder / name).is_relative_to(path)}
        there = {file for file in sums if file.is_relative_to(folder) and file != folder / RECORD}
        for file in sorted(expected.keys() | there):
            fault = _fault(expected.get(file), sums.get(file), hidden=file.name.startswith("."))
            if fault:
                raise UserError(
                    f"{file}: {fault} (by {folder / RECORD}); delete {folder} and run `dvc repro`: it comes from the "
                    "cache, or its stage makes it again"
                )


def _fault(expected: str | None, found: str | None, *, hidden: bool) -> str:
    if expected is None:
        return "" if hidden else "was put there by something else than the stage"
    if found is None:
        return "missing, but its stage wrote it"
    return "" if found == expected else "damaged, its bytes are not those that its stage wrote"


def _recorded(path: Path, top: Path) -> Iterator[Path]:
    """Folders with a record: the one that the path lies in, and those within it."""
    above = next((place for place in (path, *path.parents) if place != top and (place / RECORD).is_file()), None)
    if above is not None and above.is_relative_to(top):
        yield above
    if path.is_dir():
        yield from (record.parent for record in sorted(path.rglob(RECORD)) if record.parent != above)


def _kept_sums(record: Path) -> dict[str, str] | None:
    """The checksums in a record; None if it was written without. Raises UserError if it is not a record."""
    try:
        return PastRun.model_validate_json(record.read_bytes()).files
    except ValidationError as error:
        raise UserError(
            f"{record}: {first_fault(error)}; delete {record.parent} and run `dvc repro`: it comes from the cache, or its "
            "stage makes it again"
        ) from None


def first_fault(error: ValidationError) -> str:
    """The first fault of a record, in one clause."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
    field = ".".join(str(part) for part in first["loc"])
    return f"{f'field {field}: ' if field else ''}{first['msg']}; damaged, or of another release"


def digest_of(content: object) -> str:
    """sha256 (hex) of what JSON can hold; the order of keys makes no difference."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sum_of(file: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
