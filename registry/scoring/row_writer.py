"""Writer of a file of rows with more columns, in its own format: whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.atomic_files import whole_file
from data.raw_files import Chunk, header_of, suffix_of
from data.text_rows import separator
from errors import UserError

Write = Callable[[Chunk, pd.DataFrame], None]
"""Writes the rows of a chunk, each with its row of a frame of new columns."""


@contextmanager
def scored_copy(source: Path, target: Path, new: Mapping[str, str]) -> Generator[Write]:
    """Open a copy of `source` that gets its name once all chunks are written.

    Args:
        source: what is copied; `target` has the same format.
        target: the new file.
        new: the new columns and their types, "string", "double" or "boolean".
    """
    form = suffix_of(target)
    with whole_file(target) as file:
        if form == ".parquet":
            with _parquet(source, file, new) as write:
                yield write
        elif form in (".csv", ".tsv"):
            with _csv(source, file, new) as write:
                yield write
        elif form == ".jsonl.gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                yield _json_lines(cast(BinaryIO, packed))
        elif form == ".jsonl":
            yield _json_lines(file)
        else:
            raise UserError(f"{target}: rows can be read from a {form} file, but not written to one; use .jsonl")


def _json_lines(file: BinaryIO) -> Write:
    def write(chunk: Chunk, answers: pd.DataFrame) -> None:
        for row, answer in zip(chunk.rows, answers.to_dict("records"), strict=True):
            file.write(_json_line({**row, **answer}))

    return write


def _json_line(row: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair in a column that the student does not read
        return json.dumps(row).encode() + b"\n"


@contextmanager
def _csv(source: Path, file: BinaryIO, new: Mapping[str, str]) -> Generator[Write]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n", delimiter=separator(source))
    writer.writerow([*(header_of(source) or []), *new])

    def write(chunk: Chunk, answers: pd.DataFrame) -> None:
        for row, answer in zip(chunk.rows, answers.itertuples(index=False), strict=True):
            writer.writerow([*row.values(), *answer])

    try:
        yield write
    finally:
        text.detach()  # or it would close the file, which has yet to be synced


@contextmanager
def _parquet(source: Path, file: BinaryIO, new: Mapping[str, str]) -> Generator[Write]:
    types = {"string": pa.string(), "double": pa.float64(), "boolean": pa.bool_()}
    # Without the metadata, in which pandas would have noted columns that are no longer all.
    schema = pq.read_schema(source).remove_metadata()
    whole = pa.schema([*schema, *(pa.field(name, types[kind]) for name, kind in new.items())])
    with pq.ParquetWriter(file, whole) as writer:

        def write(chunk: Chunk, answers: pd.DataFrame) -> None:
            assert chunk.batch is not None
            columns: Sequence[pa.Array] = chunk.batch.columns
            added = [pa.array(answers[name].tolist(), types[kind]) for name, kind in new.items()]
            writer.write_batch(pa.RecordBatch.from_arrays([*columns, *added], schema=whole))

        yield write
