"""Reads a file of raw rows in chunks, so that its size does not matter: CSV, TSV, JSON lines (also gzipped), Parquet.

The formats and the errors are those of data/raw_files.py, which goes on after an error. Here the first thing that cannot
be read is a UserError that names file and row.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn, cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.checks import RawRow
from data.description import SUFFIXES
from data.file_formats import Unreadable, check_format, unread_format
from data.raw_files import check_columns, csv_records, readable, text_rows
from errors import UserError

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
    """The format, as the end of the file's name; UserError if it is none that is known."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    what = unread_format(path.name)
    cause = f"is {what}. The" if what else "the"
    raise UserError(f"{path}: {cause} name must end with one of {', '.join(SUFFIXES)}")


def header_of(path: Path) -> list[str] | None:
    """The columns that a file names before its first row: CSV, TSV and Parquet; None for JSON lines."""
    with _or_data_error(path):
        check_format(path)
        if path.name.endswith(".parquet"):
            names = list(pq.read_schema(path).names)
            check_columns(names)
            return names
        if path.name.endswith((".csv", ".tsv")):
            return next(csv_records(path), (0, []))[1]
        path.open("rb").close()  # a file that is missing is missed here
    return None


def read_chunks(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a file; `columns` are those that are needed of a Parquet file."""
    with _or_data_error(path):
        if path.name.endswith(".parquet"):
            yield from _parquet(path, columns)
            return
        rows = text_rows(path, _raise)
        while numbered := list(islice(rows, CHUNK)):
            yield Chunk([number for number, _ in numbered], [row for _, row in numbered])


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


def _raise(error: Unreadable) -> NoReturn:
    raise error


@contextmanager
def _or_data_error(path: Path) -> Generator[None]:
    """UserError where the file, or a row of it, is missing or broken."""
    try:
        with readable():
            yield
    except Unreadable as error:
        where = f"{path}, row {error.row}" if error.row is not None else str(path)
        raise UserError(f"{where}: {error}") from error
