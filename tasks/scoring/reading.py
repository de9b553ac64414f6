"""Reads a file of raw rows in chunks, so that its size does not matter: CSV, JSON lines (also gzipped), Parquet.

The formats and the errors are those of data/raw_files.py, which reads whole files; a test holds the two together. What
cannot be read is a DataError that names file and row.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.checks import Numbered, RawRow
from data.description import SUFFIXES
from data.running.errors import DataError, shown

CHUNK = 1000
"""Rows held at a time."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Rows that follow one another in a file."""

    numbers: Sequence[int]
    """Their 1-based lines; in a Parquet file their rows."""
    rows: Sequence[RawRow]
    """Their fields; of a Parquet file only those that were asked for."""
    batch: pa.RecordBatch | None = None
    """Of a Parquet file: all columns."""


def suffix_of(path: Path) -> str:
    """The format, as the end of the file's name; DataError if it is none that is known."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise DataError(f"{path}: the name must end with one of {', '.join(SUFFIXES)}")


def header_of(path: Path) -> list[str] | None:
    """The columns that a file names before its first row: CSV and Parquet; None for JSON lines."""
    with _readable(path):
        if path.name.endswith(".parquet"):
            return list(pq.read_schema(path).names)
        if path.name.endswith(".csv"):
            return next(_csv_lines(path), (0, []))[1]
    return None


def read_chunks(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a file; `columns` are those that are needed of a Parquet file."""
    with _readable(path):
        if path.name.endswith(".parquet"):
            yield from _parquet(path, columns)
            return
        rows = _csv(path) if path.name.endswith(".csv") else _jsonl(path)
        while numbered := list(islice(rows, CHUNK)):
            yield Chunk([number for number, _ in numbered], [row for _, row in numbered])


def _jsonl(path: Path) -> Iterator[Numbered]:
    """Rows of a file of JSON lines; empty lines are passed over."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            line = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).removesuffix(b"\n")
            if line.strip():
                yield number, _json_row(path, number, line)


def _json_row(path: Path, number: int, line: bytes) -> RawRow:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, row {number}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        text = shown(line.decode("utf-8", "replace"))
        raise DataError(f"{path}, row {number}: is no JSON ({error}): {text}") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, row {number}: must be a JSON object of named fields, not {shown(row)}")
    return row


def _csv(path: Path) -> Iterator[Numbered]:
    """Rows of a CSV file with a header; every value is text."""
    lines = _csv_lines(path)
    _, header = next(lines, (0, []))
    if len(set(header)) < len(header):
        raise DataError(f"{path}, row 1: names a column twice: {shown(header)}")
    for number, values in lines:
        if len(values) == len(header):
            yield number, dict(zip(header, values, strict=True))
        elif values:
            raise DataError(f"{path}, row {number}: has {len(values)} fields; the header has {len(header)}")


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line of a CSV file, with the number of the (last) line that they stand in."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for values in reader:
                yield reader.line_num, values
        except csv.Error as error:
            raise DataError(
                f"{path}, row {reader.line_num}: is no CSV ({error}); quote fields with commas or quotation marks"
            ) from error
        except UnicodeDecodeError as error:
            number = _line_without_utf8(path)
            raise DataError(f"{path}, row {number}: holds a byte that is no UTF-8; save the file as UTF-8") from error


def _line_without_utf8(path: Path) -> int:
    """The first line that is no UTF-8: the decoder reads ahead of the lines, and does not know."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if "\ufffd" in line.decode("utf-8", "replace") and "\ufffd".encode() not in line:
                return number
    return 0


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """Chunks of a Parquet file, rows counted from 1."""
    with pq.ParquetFile(path) as file:
        start = 1
        for batch in file.iter_batches(CHUNK):
            known = [column for column in columns if column in batch.schema.names]
            rows = cast(list[RawRow], batch.select(known).to_pylist())
            yield Chunk(range(start, start + len(rows)), rows, batch)
            start += len(rows)


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """DataError where the file as a whole is missing or broken."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is no whole gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({shown(error.strerror or str(error), 120)})") from error
    except pa.ArrowException as error:
        raise DataError(f"{path}: is no readable Parquet file ({shown(str(error), 120)})") from error
