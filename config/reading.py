"""Reading of a params file, with errors that give place, value, allowed values and the nearest known key."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from errors import UserError
from strict_yaml import StrictLoader


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file, lists as tuples. Raises UserError if there is no such file, or no mapping in it."""
    try:
        with path.open(encoding="utf-8") as file:  # a file, and not its text: errors then name it
            content = yaml.load(file, Loader=StrictLoader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; start from one in profiles/") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a byte that is not UTF-8, a number of 5000 digits
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())[:300]}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected sections such as 'teacher:', found {type(content).__name__}")
    return {key: _frozen(value) for key, value in content.items()}


def _frozen(value: object) -> object:
    """Convert lists to tuples at every depth: sections are immutable."""
    if isinstance(value, dict):
        return {key: _frozen(part) for key, part in value.items()}
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def explain(errors: Sequence[ErrorDetails], root: type[BaseModel]) -> list[str]:
    """One line for each place with an error: its path, the value, what is allowed, the nearest known key.

    Args:
        errors: what pydantic found; a value with several allowed types has one error for each of them.
        root: the class of the whole file.
    """
    lines: dict[str, str] = {}
    for error in errors:
        where = _where(error["loc"], root)
        line = _line(error, where, root)
        if where not in lines:
            lines[where] = line
        elif where and error["type"] != "value_error":
            lines[where] += f", or {_allowed(error)}"
        else:
            lines[f"{where} {len(lines)}"] = line
    return list(lines.values())


def _line(error: ErrorDetails, where: str, root: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        known = _keys_at(error["loc"][:-1], root)
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.7)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known) or 'nothing'}"
        return f"{where}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{where}: missing{_empty_list(error['loc'], root)}"
    if error["type"] == "value_error":
        return f"{where}: {_allowed(error)}" if where else _allowed(error)
    if error["input"] is None and (section := _section_at(error["loc"], root)):
        needed = [field.alias or name for name, field in section.model_fields.items() if field.is_required()]
        way_out = f"name its keys: {', '.join(needed)}" if needed else f"write `{where}: {{}}` for its defaults"
        return f"{where}: the section is empty; {way_out}"
    given = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]
    none = _empty_list(error["loc"], root) if given is None else ""
    return f"{where}: {given!r} is not allowed: {_meant(error)}{_allowed(error)}{none}"


def _empty_list(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """Advice for a list that is missing or null, where none of its entries is needed."""
    section = _section_at(location[:-1], root)
    field = section.model_fields.get(str(location[-1])) if section else None
    if (
        field is None
        or get_origin(field.annotation) is not tuple
        or any(hasattr(m, "min_length") for m in field.metadata)
    ):
        return ""
    return f"; write `{location[-1]}: []` for none"


def _meant(error: ErrorDetails) -> str:
    """The nearest allowed word, where one of several words was expected."""
    words = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(error["input"]), words, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'? " if near else ""


def _allowed(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    return message if error["type"] == "value_error" else message[0].lower() + message[1:]


def _where(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """The dotted path as in the file: without the type names that pydantic adds for unions."""
    parts: list[str] = []
    section: type[BaseModel] | None = root
    for part in location:
        if section is not None:
            parts.append(str(part))
            field = {field.alias or name: field for name, field in section.model_fields.items()}.get(str(part))
            section = _section(field.annotation) if field else None
        elif isinstance(part, int):
            parts.append(str(part + 1))
    return ".".join(parts)


def _keys_at(location: tuple[int | str, ...], root: type[BaseModel]) -> list[str]:
    """The keys that the section at a path knows, by the names used in the file."""
    section = _section_at(location, root)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def _section_at(location: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel] | None:
    section: type[BaseModel] | None = root
    for part in location:
        field = section.model_fields.get(str(part)) if section else None
        section = _section(field.annotation) if field else None
    return section


def _section(annotation: object) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
