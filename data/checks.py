"""Raw rows -> checked rows: every problem names file, row, field, value and what is allowed."""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from data.description import DESCRIPTION, nearest
from data.problems import Problems, shown
from data.records import UNLABELLED, DatasetSpec, Row
from data.rendering import integer_columns, render
from kinds import KINDS

RawRow = Mapping[str, object]
Numbered = tuple[int, RawRow]
"""A raw row and its 1-based line in the file."""


NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
"""A number in a CSV file; float() itself would take "1_0" and "nan", too."""


class Refused(ValueError):
    """One unusable field of one row; the caller adds the row's location."""


@dataclass(frozen=True)
class RawTable:
    """The raw rows of one file, read lazily, with the names used in errors."""

    file: str
    split: str
    rows: Iterable[Numbered]
    unread: Problems = field(default_factory=lambda: Problems(""))
    """Unreadable parts of the file; known once `rows` has been consumed."""


def check_table(spec: DatasetSpec, table: RawTable, problems: Problems) -> Iterator[Row]:
    """Check the rows of one file; unusable ones are noted in `problems` and left out.

    A label of -1 is legal in the split `test` only. Ids must be unique within the file. `problems` are complete once
    the rows have all been taken.
    """
    own, seen, present, count = Problems(spec.name), dict[str, int](), set[str](), 0
    for number, raw in table.rows:
        count += 1
        present.update(raw)
        row = _check_row(spec, table, number, raw, own)
        if row is None:
            continue
        # Without a column of ids a row's own number is its id.
        if spec.id_column and seen.setdefault(row.id, number) != number:
            own.add(
                table.file,
                number,
                f"field '{spec.id_column}' is {shown(row.id)}, the id of row "
                f"{seen[row.id]}, too; ids must be unique within a file",
            )
        yield row
    if count:
        missing = _missing_columns(spec, table, present, count)
        problems.absorb(missing if missing.count else own)
    elif not table.unread.count:
        problems.add(table.file, None, "holds no rows")


def _missing_columns(spec: DatasetSpec, table: RawTable, present: set[str], count: int) -> Problems:
    """Report columns missing from every row once, not per row."""
    found = Problems(spec.name)
    needed = [*spec.columns, *(c for c in (spec.label_column, spec.id_column, spec.group_column) if c)]
    if table.split == "test":  # test rows may come without any label column
        needed.remove(spec.label_column)
    for column in [column for column in dict.fromkeys(needed) if column not in present]:
        hint = nearest(column, present - set(needed)) if present - set(needed) else ""
        found.add(table.file, None, f"field '{column}' is missing in all {count} rows{hint}")
    return found


def _check_row(spec: DatasetSpec, table: RawTable, number: int, raw: RawRow, problems: Problems) -> Row | None:
    """Check one row; None after noting each of its problems."""
    before = problems.count
    fields: dict[str, str | int] = {}
    label: int | float = UNLABELLED
    identity, group = str(number), None
    for column in spec.columns:
        try:
            fields[column] = _input(spec, column, raw)
        except Refused as error:
            problems.add(table.file, number, str(error))
    try:
        label = _label(spec, raw, table.split)
    except Refused as error:
        problems.add(table.file, number, str(error))
    try:
        identity = _key(spec.id_column, raw) or identity
        group = _key(spec.group_column, raw)
    except Refused as error:
        problems.add(table.file, number, str(error))
    if problems.count == before:
        try:
            render(spec.render, fields)
            return Row(identity, fields, label, group)
        except ValueError as error:
            problems.add(table.file, number, str(error))
    return None


def _value(column: str, raw: RawRow) -> object:
    if raw.get(column) is None:
        raise Refused(f"field '{column}' is missing")
    return raw[column]


def _input(spec: DatasetSpec, column: str, raw: RawRow) -> str | int:
    """An input column: text that is not empty, or a position."""
    value = _value(column, raw)
    if column in integer_columns(spec.render):
        number = _whole_number(value)
        if number is None or not 0 <= number < 2**31:
            raise Refused(f"field '{column}' is {shown(value)}; must be a whole number from 0")
        return number
    if not isinstance(value, str):
        raise Refused(f"field '{column}' is {shown(value)}; must be text, not {type(value).__name__}")
    if not value.strip():
        raise Refused(f"field '{column}' is {shown(value)}; must not be empty")
    return _encodable(column, value)


def _encodable(column: str, value: str) -> str:
    """Refuse half surrogate pairs, which JSON allows and no tokenizer, hash or file accepts."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused(f"field '{column}' is {shown(value)}; character {error.start} is not valid Unicode") from error
    return value


def _key(column: str | None, raw: RawRow) -> str | None:
    """An id or a group: text or a whole number, as text."""
    if column is None:
        return None
    value = _value(column, raw)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or str(value).strip() == "":
        raise Refused(f"field '{column}' is {shown(value)}; must be text or a whole number")
    return _encodable(column, str(value))


def _label(spec: DatasetSpec, raw: RawRow, split: str) -> int | float:
    """A class index, a position, or a score; -1 (or no value) in test only."""
    column = spec.label_column
    if split == "test" and raw.get(column) in (None, ""):
        return UNLABELLED
    value = _value(column, raw)
    if not KINDS[spec.kind].has_classes:
        return _score(spec, value, split)
    index = _class_index(spec, value)
    if index is None or not (0 <= index < spec.num_classes or (index == UNLABELLED and split == "test")):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(spec.label_names))
        only = "; -1 is legal in test only" if index == UNLABELLED else ""
        if isinstance(value, bool) and spec.num_classes == 2:
            only = f"; if true means one of them, say so in {DESCRIPTION}: true_label: {spec.label_names[0]}, or {spec.label_names[1]}"
        raise Refused(f"field '{column}' is {shown(value)}; must be one of: {names}{only}")
    return index


def _score(spec: DatasetSpec, value: object, split: str) -> float:
    assert spec.label_range is not None
    low, high = spec.label_range
    number = _number(value)
    if number is None or not (low <= number <= high or (number == UNLABELLED and split == "test")):
        raise Refused(f"field '{spec.label_column}' is {shown(value)}; must be a number from {low:g} to {high:g}")
    return number


def _class_index(spec: DatasetSpec, value: object) -> int | None:
    """Look up a label by name before number: with labels [1, 2, 3], a row's 1 is the first class, and 0 is unknown."""
    if isinstance(value, str):
        # One and the same é may be one character or two, by the system that a file comes from.
        composed = [unicodedata.normalize("NFC", name).strip() for name in spec.label_names]
        given = unicodedata.normalize("NFC", value).strip()
        if given in composed:
            return composed.index(given)
    if isinstance(value, bool):
        return _class_of_boolean(spec, value)
    number = _whole_number(value)
    if f"+{number}" in spec.label_names:  # `labels: [+1, -1]`
        return spec.label_names.index(f"+{number}")
    if str(number) in spec.label_names:
        return spec.label_names.index(str(number))
    if number != UNLABELLED and any(_whole_number(name) is not None for name in spec.label_names):
        return None
    return number


def _class_of_boolean(spec: DatasetSpec, value: bool) -> int | None:
    """The class named true (in any case) or 1, or named by `true_label`; never one by its position."""
    if spec.true_label is not None:
        other = [name for name in spec.label_names if name != spec.true_label]
        return spec.label_names.index(spec.true_label if value else other[0])
    lower = [name.lower() for name in spec.label_names]
    for names in (("false", "true"), ("0", "1")):
        if all(lower.count(name) == 1 for name in names):
            return lower.index(names[value])
    return None


def _number(value: object) -> float | None:
    """A finite number, also as text (CSV)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _whole_number(value: object) -> int | None:
    """A whole number, also as text or as 1.0 (from a CSV column with gaps)."""
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None
