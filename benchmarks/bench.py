"""The pipeline's cost against targets: a table on stdout, and outputs/bench.json.

    OMP_NUM_THREADS=1 python -m benchmarks.bench [--only NAME ...] [--rows FOLDER --tokenizer FOLDER]

Most targets are for a ratio of two variants that take turns in this process, so they hold on any machine; CPU seconds
at one thread. Exit status: 0, 1 where a target is missed, 2 where the arguments can't be used.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from benchmarks import (
    fixed_teacher_bench,
    gradients_bench,
    memory_bench,
    noop_bench,
    pieces_bench,
    precision_bench,
    startup_bench,
    whole_job_bench,
)
from benchmarks.measuring import Measurement, table
from benchmarks.problem import Shape
from benchmarks.workspace import RealRows, Workspace, make_workspace
from tasks.runtime.malloc import keep_freed_memory

OUTPUT = Path("outputs/bench.json")
REPETITIONS = 4


@dataclass
class Bench:
    """Workspaces of the row groups, created when the first group asks for them."""

    shape: Shape
    repetitions: int
    folder: Path
    real: RealRows | None = None

    @cached_property
    def rte(self) -> Workspace:
        """All rows of RTE and MRPC, tokenised."""
        return make_workspace(self.folder / "all", self.real, meta_teacher__epochs=10, meta_teacher__patience=10)

    @cached_property
    def some_rte(self) -> Workspace:
        """An eighth of the rows, for stages that take minutes on all of them."""
        return make_workspace(self.folder / "some", self.real, share=1 / 8)


Measure = Callable[[Bench], list[Measurement]]
GROUPS: dict[str, Measure] = {
    "gradients": lambda bench: gradients_bench.measure(bench.shape, bench.repetitions),
    "methods": lambda bench: fixed_teacher_bench.measure(bench.shape, bench.repetitions),
    "kd": lambda bench: pieces_bench.kd_rows(bench.rte, 3 * bench.repetitions),
    "signals": lambda bench: pieces_bench.signals_rows(bench.some_rte, 2),
    "meta_teacher": lambda bench: pieces_bench.meta_teacher_rows(bench.rte, 2),
    "curriculum": lambda bench: pieces_bench.curriculum_rows(bench.rte, 2),
    "tokens": lambda bench: pieces_bench.useful_rows(bench.rte),
    "job": lambda bench: whole_job_bench.rows(bench.rte, 2),
    "precision": lambda bench: precision_bench.rows(bench.rte, bench.repetitions),
    "startup": lambda bench: startup_bench.measure(),
    "repro": lambda bench: noop_bench.measure(),
    "memory": lambda bench: memory_bench.measure(),
}


def measure(names: Sequence[str], bench: Bench) -> list[Measurement]:
    """Measure some row groups; print the current group's name on stderr."""
    rows: list[Measurement] = []
    for name in names:
        print(f"bench: {name} ...", file=sys.stderr, flush=True)
        rows += GROUPS[name](bench)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write the table; return 1 if a target is missed."""
    options = _options(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Shape(), options.repetitions, Path(folder), options.real)
        rows = measure(options.only or list(GROUPS), bench)
        said = bench.__dict__["rte"].said if "rte" in bench.__dict__ else None
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([row.to_json() for row in rows], indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    if said:
        print(f"\nRTE and MRPC: {said}")
    missed, targets = sum(not row.ok for row in rows), sum(row.target is not None for row in rows)
    print(f"\n{options.output}: {len(rows)} rows, {missed} of {targets} targets missed")
    return 1 if missed else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description="Measure the pipeline's cost against targets."
    )
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="NAME", help=f"groups: {', '.join(GROUPS)}")
    parser.add_argument(
        "--rows", type=Path, help="folder with rte/ and mrpc/ in GLUE's format (default: made-up words)"
    )
    parser.add_argument("--tokenizer", type=Path, help="model folder with their tokenizer; with --rows")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="measured steps of each variant")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON file to write")
    options = parser.parse_args(arguments)
    if (options.rows is None) != (options.tokenizer is None):
        parser.error("--rows and --tokenizer go together: rows of real text need the tokenizer that reads them")
    options.real = None if options.rows is None else RealRows(options.rows.resolve(), options.tokenizer.resolve())
    return options


if __name__ == "__main__":
    raise SystemExit(main())
