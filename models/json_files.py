"""Reading and writing the small JSON files of a model folder."""

import json
from pathlib import Path

from errors import UserError


def read_json(file: Path) -> dict[str, object]:
    """Read the object in a JSON file. Raises UserError if it is missing, damaged, or not an object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{file}: holds a {type(value).__name__}, not an object")
    return value


def write_json(file: Path, value: dict[str, object]) -> None:
    """Write an object as JSON with sorted keys, so that equal values give equal bytes."""
    file.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
