"""Tables as text, and how they look on a terminal and in Markdown; a cell may have several lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

MOST_COLUMNS = 8
"""Of numbers, that fit a page of paper and most terminals."""
RULE = "\N{BOX DRAWINGS LIGHT HORIZONTAL}"


@dataclass(frozen=True)
class Table:
    """A table as text; the first `names` columns hold names, the others numbers. `strong` marks the last row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    strong: bool = False


def split_columns(table: Table, most: int) -> list[Table]:
    """The table in parts of at most that many columns of numbers, the names before each; itself if it is no wider."""
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
    widths = [max(len(line[column]) for line in every) for column in range(len(table.header))]

    def aligned(line: Sequence[str]) -> str:
        cells = [
            text.ljust(width) if column < table.names else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = RULE * (sum(widths) + 2 * (len(widths) - 1))
    return [*map(aligned, header), rule, *(aligned(line) for row in rows for line in row), rule]


def markdown_table(table: Table) -> str:
    """The table in Markdown, numbers to the right; lines of a cell become <br>."""
    marks = ["---" if column < table.names else "---:" for column in range(len(table.header))]
    lines = [table.header, marks, *table.rows]
    cells = [[text.replace("\n", "<br>").replace("|", "\\|") for text in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _lines_of(row: Sequence[str]) -> list[tuple[str, ...]]:
    """A row's printed lines: cells with fewer lines than the highest are filled up."""
    return list(zip_longest(*(text.split("\n") for text in row), fillvalue=""))
