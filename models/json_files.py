"""Reading and writing the small JSON files of a model folder."""

import json
from pathlib import Path

from models.errors import ModelError


def read_json(file: Path) -> dict[str, object]:
    """The object in a JSON file; ModelError if it is missing, broken, or something else."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file}: holds a {type(value).__name__}, not an object")
    return value


def write_json(file: Path, value: dict[str, object]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
