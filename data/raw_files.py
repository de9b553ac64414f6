"""Reads the raw rows of one file: JSON lines (also gzipped), CSV or Parquet; a broken file is a DataError."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.checks import Numbered
from data.errors import Problems, shown


def read_raw(path: Path, problems: Problems) -> list[Numbered]:
    """All rows of a file with their 1-based lines; what cannot be read is noted in `problems`."""
    try:
        if path.name.endswith(".parquet"):
            return _parquet(path)
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        content = content.removeprefix(b"\xef\xbb\xbf")  # what spreadsheets put in front
        return list(_csv(path, content, problems) if path.name.endswith(".csv") else _jsonl(path, content, problems))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.add(str(path), None, f"is no whole gzip file ({error})")
    except (pa.ArrowException, ValueError, OverflowError) as error:
        problems.add(str(path), None, f"is no readable Parquet file ({shown(str(error), 120)})")
    except OSError as error:
        problems.add(str(path), None, f"cannot be read ({shown(error.strerror or str(error), 120)})")
    return []


def _jsonl(path: Path, content: bytes, problems: Problems) -> Iterator[Numbered]:
    for number, line in enumerate(content.split(b"\n"), start=1):
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


def _csv(path: Path, content: bytes, problems: Problems) -> Iterator[Numbered]:
    """Rows of a CSV file with a header; every value is text."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(str(path), line, "holds a byte that is no UTF-8; save the file as UTF-8")
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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
        problems.add(str(path), reader.line_num, f"is no CSV ({error}); quote fields with commas or quotation marks")


def _parquet(path: Path) -> list[Numbered]:
    """Rows of a Parquet file, counted from 1."""
    with pa.OSFile(str(path)) as file:
        return list(enumerate(pq.read_table(file).to_pylist(), start=1))
