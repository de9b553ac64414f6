"""Rows of text files, one at a time: JSON lines (also gzipped), CSV and TSV; unreadable rows are Unreadable."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from data.checks import Numbered, RawRow
from data.file_formats import Unreadable, check_format
from data.problems import shown

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Byte order mark written by spreadsheets."""
LONGEST_FIELD = 2**31 - 1
"""Largest CSV field in characters. Python's own limit of 131,072 is too small for a web page."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Separators of fields, each with its name."""
OTHER_WAYS = {(",", "\t"): "call it .tsv", ("\t", ","): "call it .csv"}
"""Advice for a file with fields separated by the second sign instead of the first."""
Note = Callable[[Unreadable], None]
"""Callback for unreadable rows; reading ends if it raises."""


def text_rows(path: Path, note: Note) -> Iterator[Numbered]:
    """Yield the rows of CSV, TSV or JSON lines. Raises Unreadable if the rest of the file can't be read either."""
    check_format(path)
    read = next((read for ends, read in READERS.items() if path.name.endswith(ends)), None)
    if read is None:
        raise Unreadable(None, f"has no reader for its name; only text files ending in {' or '.join(READERS)} are read")
    yield from read(path, note)


def _jsonl(path: Path, note: Note) -> Iterator[Numbered]:
    """Rows of JSON lines; empty lines are skipped."""
    first = True
    with cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json_row(number, line, first=first)
            except Unreadable as error:
                if error.row is None:
                    raise
                note(error)
            else:
                yield number, row
            first = False


def json_row(number: int, line: bytes, *, first: bool = False) -> RawRow:
    """Parse one line of JSON lines; `first`: no row came before it.

    Raises Unreadable, with the row None where no later line could be read either.
    """
    line = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).removesuffix(b"\n")
    if first and line.strip() in (b"[", b"{"):
        raise Unreadable(None, "holds JSON over several lines; write JSON lines, each row as one object in one line")
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise Unreadable(number, f"byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except Unreadable as error:
        raise Unreadable(number, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(number, f"is not valid JSON ({error}): {shown(line.decode('utf-8', 'replace'))}") from error
    if isinstance(row, dict):
        return row
    if first and isinstance(row, list) and row and isinstance(row[0], dict):
        raise Unreadable(None, "holds one JSON array; write JSON lines, each row as one object in one line")
    raise Unreadable(number, f"must be a JSON object of named fields, not {shown(row)}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object, refusing repeated names, of which json itself keeps the last."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise Unreadable(None, f"repeats a field: {shown(next(name for name in names if names.count(name) > 1))}")
    return made


def _csv(path: Path, note: Note) -> Iterator[Numbered]:
    """Rows of a CSV or TSV file with a header; every value is text."""
    records, own = csv_records(path), separator(path)
    _, header = next(records, (0, []))
    fits = False
    for number, values in records:
        if len(values) == len(header):
            fits = True
            yield number, dict(zip(header, values, strict=True))
        elif values:
            if not fits:  # said once, and not for every row
                _check_first_row(number, own.join(values), len(header), own)
            note(Unreadable(number, f"has {len(values)} fields; the header has {len(header)}"))


READERS = {".jsonl": _jsonl, ".jsonl.gz": _jsonl, ".csv": _csv, ".tsv": _csv}
"""End of a file's name -> the reader of its rows."""


def separator(path: Path) -> str:
    """Return the separator of fields that a file name stands for."""
    return "\t" if path.name.endswith(".tsv") else ","


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records of a CSV or TSV file, header first, each with the number of its last line.

    Raises Unreadable at the first line that is not valid CSV in UTF-8.
    """
    csv.field_size_limit(LONGEST_FIELD)
    sign, name = separator(path), path.suffix[1:].upper()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, before = csv.reader(_without_nul(file), strict=True, delimiter=sign), 0
        try:
            for values in reader:
                if not before:
                    _check_header(values, sign)
                before = reader.line_num
                yield before, values
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                message = f"is not valid {name}: the quotation mark opened here is never closed"
                raise Unreadable(before + 1, message) from error
            message = f"is not valid {name} ({error}); quote fields with {SEPARATORS[sign]} or quotation marks"
            raise Unreadable(reader.line_num, message) from error
        except UnicodeDecodeError as error:
            raise _without_utf8(path) from error


def _without_nul(file: TextIO) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if "\0" in line:
            raise Unreadable(number, "holds a NUL byte; remove it, or if the file is UTF-16, save it as UTF-8")
        yield line


def _check_header(header: Sequence[str], own: str) -> None:
    """Raise Unreadable for a header with another separator than `own`, or a repeated column."""
    whole = own.join(header)
    if not header:
        raise Unreadable(1, "is empty; the first line must name the columns")
    if whole.lower().startswith("sep="):
        raise Unreadable(1, f"is {shown(whole)}, which only Excel reads; remove the line")
    for sign, name in SEPARATORS.items():
        if sign != own and whole.count(sign) >= len(header):
            fields = "one field" if len(header) == 1 else f"{len(header)} fields"
            raise Unreadable(
                1,
                f"the header is {fields}, {shown(whole)}: separated by {name}? Only {SEPARATORS[own]} are read in such a "
                f"file; {OTHER_WAYS[own, sign] if (own, sign) in OTHER_WAYS else f'save it with {SEPARATORS[own]}'}",
            )
    check_columns(header)


def _check_first_row(number: int, whole: str, fields: int, own: str) -> None:
    """Raise Unreadable for a row with another separator than the header."""
    for sign, name in SEPARATORS.items():
        if sign != own and whole.count(sign) == fields - 1:
            raise Unreadable(
                number,
                f"{shown(whole)} is separated by {name}, but the header by {SEPARATORS[own]}; save all of the file with "
                f"{SEPARATORS[own]}",
            )


def check_columns(names: Sequence[str]) -> None:
    """Raise Unreadable for repeated column names: a row would keep the last."""
    if len(set(names)) < len(names):
        raise Unreadable(1, f"repeats a column: {shown(list(names))}")


def _without_utf8(path: Path) -> Unreadable:
    """The error for the first line that is not UTF-8, found by a second read: the decoder reads ahead."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return Unreadable(number, "holds a byte that is not UTF-8; save the file as UTF-8")
    return Unreadable(None, "is not UTF-8; save the file as UTF-8")
