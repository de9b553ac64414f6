"""score: label every row of a file with a student; writes the same file with the student's columns added.

    python -m registry.score quickstart-payment-mpdistil@champion rows.csv

Reads: the student, of the registry or a pulled folder; a CSV, TSV, JSONL (also gzipped) or Parquet file of raw rows.
Writes: rows.scored.csv, whole or not at all: all columns of the file, then student_label, student_score, a
student_probability_... per class and student_truncated. The prefix is there because files of raw rows often hold a
`label` of their own. Interrupted, however hard, the same command goes on after the last thousand rows that were scored.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from broken_pipe import without_readers
from checksums import sum_of
from data import raw_files
from data.description import nearest
from data.raw_files import Chunk, header_of, read_chunks, suffix_of
from errors import UserError
from progress import watched
from registry.model_ref import LoadedStudent, load
from registry.scoring.resumed_answers import Made, kept, progress_folder
from registry.scoring.row_writer import scored_copy
from registry.scoring.threads import MOST, default_threads

PREFIX, TRUNCATED = "student_", "truncated"
EXAMPLES = """examples:
  python -m registry.score quickstart-payment-mpdistil@champion rows.csv
  python -m registry.score outputs/pulled/quickstart-payment-mpdistil-v3 rows.jsonl.gz --output scored.jsonl.gz"""


@dataclass(frozen=True)
class Scored:
    """Result of scoring a file: truncated rows, and rows taken from an interrupted run."""

    cut: int
    kept: int


@without_readers()
def main(arguments: Sequence[str] | None = None) -> int:
    """Score one file; return 2 with one line on stderr on failure."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        target = target_of(options.file, options.output, force=options.force)
        header_of(options.file)  # before a student is fetched: is there a file at all?
        student = load(options.model)
        total = check(student, options.file)
        made = made_of(student, options.file, options.batch_size, options.threads or default_threads())
        scored = score(student, options.file, target, made, total=total)
    except UserError as error:
        print(f"score: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"score: interrupted; no scored file was written{_kept(options)}", file=sys.stderr)
        return 130
    except OSError as error:
        where = error.filename or options.output or options.file
        print(
            f"score: {where}: {error.strerror or error}; nothing half-written was left there{_kept(options)}",
            file=sys.stderr,
        )
        return 2
    said = f", {scored.cut} of them longer than it reads and cut" if scored.cut else ""
    said += f", {scored.kept} scored by an interrupted run" if scored.kept else ""
    print(f"score {student.title}: {total} rows{said}, {time.monotonic() - started:.1f} s, {target}")
    return 0


def target_of(source: Path, output: Path | None, *, force: bool) -> Path:
    """Return the output file. Raises UserError for another format, the input itself, or an existing file."""
    suffix = suffix_of(source)
    target = output or source.with_name(f"{source.name.removesuffix(suffix)}.scored{suffix}")
    same = {suffix, *({".jsonl", ".jsonl.gz"} if "jsonl" in suffix else ())}
    if suffix_of(target) not in same:
        raise UserError(f"--output {target}: must end with {' or '.join(sorted(same))}, the format of {source}")
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"--output {target}: is the input file; name another one")
    if target.is_dir() or (target.exists() and not force):
        raise UserError(f"{target}: already exists; --force replaces a file, --output names another one")
    return target


def check(student: LoadedStudent, source: Path) -> int:
    """Count the rows after validating all of them, so that an error in the last one is found at once."""
    given = header_of(source)
    if given is not None:
        _check_columns(student, source, given, "")
    total = 0
    for chunk in read_chunks(source, student.columns):
        if given is None:
            keys = {key for row in chunk.rows for key in row}
            _check_columns(student, source, keys, f" in rows {chunk.numbers[0]} to {chunk.numbers[-1]}")
        student.check(_frame(student, source, chunk))
        total += len(chunk.rows)
    return total


def made_of(student: LoadedStudent, source: Path, batch_size: int, threads: int) -> Made:
    """Collect everything that affects the answers for a file; set torch's threads."""
    import torch  # it is there since the student was loaded

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Made(sum_of(source), student.fingerprint, batch_size, threads, raw_files.CHUNK, device, torch.__version__)


def score(student: LoadedStudent, source: Path, target: Path, made: Made, *, total: int) -> Scored:
    """Score all rows chunk by chunk; chunks of an interrupted run are reused."""
    new = {PREFIX + name: kind for name, kind in student.answers.items()}
    bar, cut, read_back = watched(range(total), total=total, title=f"score {source.name}", unit="rows"), 0, 0
    with kept(target, made) as progress, scored_copy(source, target, new) as write:
        if progress.chunks:
            print(f"score {source.name}: goes on where an interrupted run stopped", file=sys.stderr)
        for number, chunk in enumerate(read_chunks(source, student.columns)):
            answers = progress.answers(number, len(chunk.rows))
            if answers is None:
                answers = student.score(_frame(student, source, chunk), made.batch_size)
                if total > made.chunk:  # else there is nothing to go on with
                    progress.keep(number, answers)
            else:
                read_back += len(chunk.rows)
            cut += int(answers[TRUNCATED].sum()) if TRUNCATED in answers else 0  # versions made before do not say
            write(chunk, answers.add_prefix(PREFIX))
            deque(islice(bar, len(chunk.rows)), maxlen=0)
        deque(bar, maxlen=0)
    return Scored(cut, read_back)


def _kept(options: argparse.Namespace) -> str:
    """Message of an interrupted run about the kept answers."""
    folder = progress_folder(target_of(options.file, options.output, force=True))
    there = any(folder.glob("*.parquet"))
    return f"; what was scored is kept in {folder}, and the same command goes on from there" if there else ""


def _frame(student: LoadedStudent, source: Path, chunk: Chunk) -> pd.DataFrame:
    """Select the needed columns; the index names the row in errors."""
    index = pd.Index(chunk.numbers, name=f"{source}, row")
    cells = {column: [row.get(column) for row in chunk.rows] for column in student.columns}
    return pd.DataFrame(cells, index=index, dtype=object)


def _check_columns(student: LoadedStudent, source: Path, given: Sequence[str] | set[str], where: str) -> None:
    """Raise UserError for a missing input column, or an existing output column."""
    missing = [column for column in student.columns if column not in given]
    if missing:
        hint = nearest(missing[0], set(given) - set(student.columns)) if set(given) - set(student.columns) else ""
        raise UserError(
            f"{source}: field '{missing[0]}' is missing{where}; {student.title} needs {', '.join(student.columns)}{hint}"
        )
    taken = [PREFIX + name for name in student.answers if PREFIX + name in given]
    if taken:
        raise UserError(f"{source}: holds a field '{taken[0]}' already{where} (scored before?); rename or remove it")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m registry.score",
        description="Score every row of a CSV, TSV, JSONL (also .jsonl.gz) or Parquet file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="NAME@ALIAS, NAME/VERSION (models:/ optional) or a pulled folder"
    )
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="raw rows; columns that the student doesn't need are kept"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="output file in the same format (default: FILE with .scored in its name)",
    )
    parser.add_argument("--batch-size", type=_count, default=32, metavar="N", help="rows per forward pass (32)")
    parser.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help=f"CPU threads (OMP_NUM_THREADS, else all cores available to the process, {MOST} at most); they change the "
        "last bits of a score",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing output")
    return parser


def _count(given: str) -> int:
    if not given.isdigit() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number from 1")
    return int(given)


if __name__ == "__main__":
    raise SystemExit(main())
