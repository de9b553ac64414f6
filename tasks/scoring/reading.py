"""Reads a file of raw rows in chunks, so that its size does not matter: CSV, JSON lines (also gzipped), Parquet.

The formats and the errors are those of data/raw_files.py, which goes on after an error; a test holds the two together.
Here the first thing that cannot be read is a DataError that names file and row.
"""

from __future__ import annotations

import gzip
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
from data.raw_files import Unreadable, check_columns, check_format, csv_records, json_row
from data.running.errors import DataError, shown

CHUNK = 1000
"""Rows held at a time."""


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
        check_format(path)
        if path.name.endswith(".parquet"):
            names = list(pq.read_schema(path).names)
            check_columns(names)
            return names
        if path.name.endswith(".csv"):
            return next(csv_records(path), (0, []))[1]
    return None


def read_chunks(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a file; `columns` are those that are needed of a Parquet file."""
    with _readable(path):
        check_format(path)
        if path.name.endswith(".parquet"):
            yield from _parquet(path, columns)
            return
        rows = _csv(path) if path.name.endswith(".csv") else _jsonl(path)
        while numbered := list(islice(rows, CHUNK)):
            yield Chunk([number for number, _ in numbered], [row for _, row in numbered])


def _jsonl(path: Path) -> Iterator[Numbered]:
    """Rows of a file of JSON lines; empty lines are passed over."""
    first = True
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_row(number, line, first=first)
                first = False


def _csv(path: Path) -> Iterator[Numbered]:
    """Rows of a CSV file with a header; every value is text."""
    records = csv_records(path)
    _, header = next(records, (0, []))
    for number, values in records:
        if len(values) == len(header):
            yield number, dict(zip(header, values, strict=True))
        elif values:
            raise Unreadable(number, f"has {len(values)} fields; the header has {len(header)}")


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """Chunks of a Parquet file, rows counted from 1."""
    with pq.ParquetFile(path) as file:
        check_columns(file.schema_arrow.names)
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
    except Unreadable as error:
        where = f"{path}, row {error.row}" if error.row is not None else str(path)
        raise DataError(f"{where}: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is no whole gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({shown(error.strerror or str(error), 120)})") from error
    except pa.ArrowException as error:
        raise DataError(f"{path}: is no readable Parquet file ({shown(str(error), 120)})") from error
