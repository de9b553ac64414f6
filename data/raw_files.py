"""Reads the raw rows of one file: JSON lines (also gzipped), CSV or Parquet; a broken file is a DataError."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.checks import Numbered
from data.running.errors import Problems, shown

READ_AT_ONCE = 4000
"""Rows of a Parquet file."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What spreadsheets put in front."""


def read_raw(path: Path, problems: Problems) -> Iterator[Numbered]:
    """The rows of a file with their 1-based lines, one at a time; what cannot be read is noted in `problems`."""
    try:
        if path.name.endswith(".parquet"):
            yield from _parquet(path)
        elif path.name.endswith(".csv"):
            yield from _csv(path, problems)
        else:
            with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
                yield from _jsonl(path, cast(Iterable[bytes], file), problems)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.add(str(path), None, f"is no whole gzip file ({error})")
    except (pa.ArrowException, ValueError, OverflowError) as error:
        problems.add(str(path), None, f"is no readable Parquet file ({shown(str(error), 120)})")
    except OSError as error:
        problems.add(str(path), None, f"cannot be read ({shown(error.strerror or str(error), 120)})")


def _jsonl(path: Path, lines: Iterable[bytes], problems: Problems) -> Iterator[Numbered]:
    for number, whole in enumerate(lines, start=1):
        line = whole.removesuffix(b"\n")
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            problems.add(str(path), number, f"byte {error.start} is no UTF-8; save the file as UTF-8")
        except (ValueError, RecursionError) as error:
            problems.add(str(path), number, f"is no JSON ({error}): {shown(line.decode('utf-8', 'replace'))}")
        else:
            if isinstance(row, dict):
                yield number, row
            else:
                problems.add(str(path), number, f"must be a JSON object of named fields, not {shown(row)}")


def _csv(path: Path, problems: Problems) -> Iterator[Numbered]:
    """Rows of a CSV file with a header; every value is text."""
    line = _line_that_is_no_text(path)
    if line is not None:
        problems.add(str(path), line, "holds a byte that is no UTF-8; save the file as UTF-8")
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                problems.add(str(path), 1, f"names a column twice: {shown(header)}")
                return
            for values in reader:
                if len(values) == len(header):
                    yield reader.line_num, dict(zip(header, values, strict=True))
                elif values:
                    problems.add(str(path), reader.line_num, f"has {len(values)} fields; the header has {len(header)}")
        except csv.Error as error:
            problems.add(
                str(path), reader.line_num, f"is no CSV ({error}); quote fields with commas or quotation marks"
            )


def _line_that_is_no_text(path: Path) -> int | None:
    """The first line that is no UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


def _parquet(path: Path) -> Iterator[Numbered]:
    """Rows of a Parquet file, counted from 1."""
    with pa.OSFile(str(path)) as file:
        parts = (part.to_pylist() for part in pq.ParquetFile(file).iter_batches(READ_AT_ONCE))
        yield from enumerate(chain.from_iterable(parts), start=1)
