"""Reads the JSON files that stages leave: what is missing or damaged is one error that names the file."""

import json
from collections.abc import Mapping
from pathlib import Path

from checksums import RECORD, check_unchanged, file_sums
from errors import UserError
from outputs import OUTPUTS


def must_exist(path: Path) -> None:
    """Raise UserError if a file isn't there, UserError if it is not as its stage wrote it."""
    if not path.exists():
        raise UserError(f"{path}: missing, but params.yaml asks for it; run `dvc repro`")
    if path.name != RECORD:
        check_unchanged(path, file_sums(path), OUTPUTS)


def read_object(path: Path) -> Mapping[str, object]:
    """The JSON object in a file. Raises UserError if there is none."""
    must_exist(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); run the stage that writes it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def read_lines(path: Path) -> list[Mapping[str, object]]:
    """The JSON objects of a .jsonl file. Raises UserError if there is no such file, or it is damaged."""
    must_exist(path)
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); run the stage that writes it again") from None


def numbers(value: object) -> dict[str, float]:
    """The entries of a mapping that are numbers; {} for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {
        str(key): float(item)
        for key, item in value.items()
        if isinstance(item, int | float) and not isinstance(item, bool)
    }


def texts(value: object) -> tuple[str, ...]:
    """The items of a list as text; () for anything else."""
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
