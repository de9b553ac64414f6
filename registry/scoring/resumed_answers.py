"""Answers of an interrupted scoring, stored per chunk beside the target, so that the same command resumes.

A chunk's answers depend on nothing but its rows, the student and the settings that `Made` names: read back, they are to
the bit those of a run that nobody stopped.
"""

from __future__ import annotations

import fcntl
import glob
import json
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.atomic_files import whole_file
from errors import UserError

RECORD, LOCK = "made_of.json", "lock"


@dataclass(frozen=True)
class Made:
    """Everything that affects the answers: stored answers for other values are not used."""

    source: str
    """sha256 of the file of rows."""
    student: str
    """sha256 of the student's files."""
    batch_size: int
    threads: int
    chunk: int
    """Rows per chunk."""
    device: str
    torch: str


class StoredAnswers:
    """A folder of answers; if it can't be written, scoring continues without it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._in_trouble = folder, False

    def answers(self, number: int, rows: int) -> pd.DataFrame | None:
        """The stored answers of a chunk with this number of rows; None if missing or damaged."""
        try:
            table = pq.read_table(self._file(number), page_checksum_verification=True)
        except (OSError, pa.ArrowException):  # missing, or damaged: the chunk is scored again
            return None
        return table.to_pandas() if table.num_rows == rows else None

    def keep(self, number: int, answers: pd.DataFrame) -> None:
        """Store the answers of a chunk."""
        if self._in_trouble:
            return
        table = pa.Table.from_pandas(answers, preserve_index=False)
        try:
            with whole_file(self._file(number)) as file:
                pq.write_table(table, file, write_page_checksum=True)
        except OSError as error:
            self._in_trouble = True
            reason = error.strerror or str(error)
            print(
                f"score: WARNING: no progress can be kept ({reason}); an interrupted run starts over", file=sys.stderr
            )

    @property
    def chunks(self) -> int:
        """Return the number of stored chunks."""
        return len(list(self._folder.glob("*.parquet")))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06}.parquet"


def progress_folder(target: Path) -> Path:
    """Folder of the stored answers for a target."""
    return target.with_name(f".{target.name}.progress")


@contextmanager
def kept(target: Path, made: Made) -> Generator[StoredAnswers]:
    """Open the stored answers for a target; removed if the block succeeds.

    Raises UserError where another process scores into the same target. Answers made of anything else are removed.
    """
    folder = progress_folder(target)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        _take(lock, target)
        _remove_what_killed_runs_left(target)
        if not _made_of(folder, made):
            _remove_answers(folder)
            with whole_file(folder / RECORD) as file:
                file.write(json.dumps(asdict(made), indent=2).encode() + b"\n")
        progress, well = StoredAnswers(folder), False
        try:
            yield progress
            well = True
        finally:
            if well or not progress.chunks:
                shutil.rmtree(folder, ignore_errors=True)


def _take(lock: TextIO, target: Path) -> None:
    """Lock the folder while the file is open. Raises UserError if another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{target}: another process is writing it; wait until it ends, or choose another --output"
        ) from None
    except OSError:  # a file system without locks: two runs into one target are the user's care there
        return


def _made_of(folder: Path, made: Made) -> bool:
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8")) == asdict(made)
    except (OSError, ValueError):
        return False


def _remove_answers(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()


def _remove_what_killed_runs_left(target: Path) -> None:
    """Delete a killed process's unfinished files: the lock shows that nobody writes them any more."""
    for path in (*target.parent.glob(f".{glob.escape(target.name)}.*.part"), *progress_folder(target).glob(".*.part")):
        path.unlink(missing_ok=True)
