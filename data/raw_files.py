"""Reader of raw rows: CSV, TSV, JSON lines (also gzipped) or Parquet, in chunks.

`read_raw` notes what can't be read and goes on; `read_chunks` ends with a UserError at the first row that can't be read.
"""

import gzip
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn, cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.checks import Numbered, RawRow
from data.description import SUFFIXES
from data.file_formats import Unreadable, check_format, unread_format
from data.problems import Problems, shown
from data.text_rows import check_columns, csv_records, text_rows
from errors import UserError

CHUNK = 1000
"""Rows held at a time."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file."""

    numbers: Sequence[int]
    """Their 1-based lines; in a Parquet file their rows."""
    rows: Sequence[RawRow]
    """Their fields; for a Parquet file only the requested ones."""
    batch: pa.RecordBatch | None = None
    """For a Parquet file: all columns."""


def suffix_of(path: Path) -> str:
    """The one of SUFFIXES that the file's name ends with. Raises UserError if there is none."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    what = unread_format(path.name)
    cause = f"is {what}. The" if what else "the"
    raise UserError(f"{path}: {cause} name must end with one of {', '.join(SUFFIXES)}")


def header_of(path: Path) -> list[str] | None:
    """Column names given before the first row: CSV, TSV and Parquet; None for JSON lines."""
    with _or_data_error(path):
        check_format(path)
        if path.name.endswith(".parquet"):
            names = list(pq.read_schema(path).names)
            check_columns(names)
            return names
        if path.name.endswith((".csv", ".tsv")):
            return next(csv_records(path), (0, []))[1]
        path.open("rb").close()  # raises FileNotFoundError for a missing file
    return None


def read_raw(path: Path, problems: Problems) -> Iterator[Numbered]:
    """Yield the rows of a file with their 1-based lines; unreadable ones are noted in `problems`."""

    def note(error: Unreadable) -> None:
        problems.add(str(path), error.row, str(error))

    try:
        with _readable(path):
            if path.name.endswith(".parquet"):
                for chunk in _parquet(path):
                    yield from zip(chunk.numbers, chunk.rows, strict=True)
            else:
                yield from text_rows(path, note)
    except Unreadable as error:
        note(error)


def read_chunks(path: Path, columns: Sequence[str]) -> Iterator[Chunk]:
    """Yield the rows of a file; `columns` limits the columns read from Parquet."""
    with _or_data_error(path):
        if path.name.endswith(".parquet"):
            yield from _parquet(path, columns)
            return
        rows = text_rows(path, _raise)
        while numbered := list(islice(rows, CHUNK)):
            yield Chunk([number for number, _ in numbered], [row for _, row in numbered])


def _parquet(path: Path, columns: Sequence[str] | None = None) -> Iterator[Chunk]:
    """Yield chunks of a Parquet file, rows counted from 1; all columns unless some are named."""
    with pa.OSFile(str(path)) as file:
        whole, start = pq.ParquetFile(file), 1
        check_columns(whole.schema_arrow.names)
        for batch in whole.iter_batches(CHUNK):
            known = batch.schema.names if columns is None else [one for one in columns if one in batch.schema.names]
            rows = cast(list[RawRow], batch.select(known).to_pylist())
            yield Chunk(range(start, start + len(rows)), rows, batch)
            start += len(rows)


def _raise(error: Unreadable) -> NoReturn:
    raise error


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Convert exceptions of reading libraries for a missing or broken file into Unreadable."""
    try:
        yield
    except Unreadable:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(None, f"is not a complete gzip file ({error})") from error
    except OSError as error:
        raise Unreadable(None, f"cannot be read ({shown(error.strerror or str(error), 120)})") from error
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise Unreadable(None, f"is not a readable {suffix_of(path)} file ({shown(str(error), 120)})") from error


@contextmanager
def _or_data_error(path: Path) -> Generator[None]:
    """Raise UserError if the file, or a row of it, is missing or broken."""
    try:
        with _readable(path):
            yield
    except Unreadable as error:
        where = f"{path}, row {error.row}" if error.row is not None else str(path)
        raise UserError(f"{where}: {error}") from error
