"""The one error of this folder: everything wrong with a dataset's description, files or rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from errors import UserError

SHOWN = 20
"""Number of problems that one error lists."""


def shown(value: object, limit: int = 60) -> str:
    """`value` for an error message: its repr, in one short line that any terminal can print."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


@dataclass
class Problems:
    """Collector of the problems of one dataset, so that one error shows up to 20 of them."""

    dataset: str
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, row: int | None, message: str) -> None:
        """Note one problem; `row` is the 1-based line of the file, None for the file as a whole."""
        self.count += 1
        if len(self.lines) < SHOWN:
            self.lines.append(f"{file}, row {row}: {message}" if row is not None else f"{file}: {message}")

    def absorb(self, other: Problems) -> None:
        """Append the problems of another collector."""
        self.lines += other.lines[: SHOWN - len(self.lines)]
        self.count += other.count

    def raise_if_any(self) -> None:
        """Raise one UserError with all problems."""
        if not self.count:
            return
        rest = self.count - len(self.lines)
        noun = "problem" if self.count == 1 else "problems"
        more = [f"... and {rest} more"] if rest else []
        raise UserError("\n  ".join([f"dataset {self.dataset}: {self.count} {noun}", *self.lines, *more]))
