"""Tables as text: for a terminal, in Markdown, as CSV; a cell may have several lines. No torch."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
MOST_COLUMNS = 8
"""Number of columns with numbers that fit a page of paper and most terminals."""
RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"


@dataclass(frozen=True)
class Table:
    """A table as text; the first `names` columns hold names, the others numbers. `strong` marks the last row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    strong: bool = False


def split_columns(table: Table, most: int = MOST_COLUMNS) -> list[Table]:
    """The table split into parts of at most that many number columns, each with the names; unsplit if it fits."""
    numbers = len(table.header) - table.names
    parts = -(-numbers // most)
    if parts <= 1:
        return [table]
    size = -(-numbers // parts)
    found = []
    for start in range(table.names, len(table.header), size):
        kept = [*range(table.names), *range(start, min(start + size, len(table.header)))]
        rows = [[row[column] for column in kept] for row in table.rows]
        found.append(Table([table.header[column] for column in kept], rows, table.names, table.strong))
    return found


def terminal_lines(table: Table) -> list[str]:
    """Columns two spaces apart with rules; names to the left, numbers to the right."""
    header = _lines_of(table.header)
    rows = [_lines_of(row) for row in table.rows]
    every = [line for row in (header, *rows) for line in row]
    lines = aligned(every, table.names)
    rule = RULE * (sum(_widths(every)) + 2 * (len(table.header) - 1))
    return [*lines[: len(header)], rule, *lines[len(header) :], rule]


def aligned(rows: Sequence[Sequence[str]], names: int | None = None) -> list[str]:
    """Columns two spaces apart: the first `names` to the left, the others to the right; without `names` all to the left."""
    widths = _widths(rows)
    return [
        "  ".join(
            text.ljust(width) if names is None or column < names else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def markdown_table(table: Table) -> str:
    """The table in Markdown, numbers to the right; lines of a cell become <br>."""
    marks = ["---" if column < table.names else "---:" for column in range(len(table.header))]
    lines = [table.header, marks, *table.rows]
    cells = [[text.replace("\n", "<br>").replace("|", "\\|") for text in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def grouped(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Group values by key, keys in the order of first occurrence."""
    found: dict[Key, list[Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, non-integers with six digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    return text.getvalue()


def _lines_of(row: Sequence[str]) -> list[tuple[str, ...]]:
    """A row's printed lines: cells are padded to the highest."""
    return list(zip_longest(*(text.split("\n") for text in row), fillvalue=""))
