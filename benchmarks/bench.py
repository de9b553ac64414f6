"""What a training step costs, against targets: a table on stdout, and outputs/bench.json.

    OMP_NUM_THREADS=1 python -m benchmarks.bench

Every target is for a ratio of two variants that take turns in this process, so it holds on any machine; CPU seconds at
one thread. Exit status: 0, or 1 where a target is missed.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks import fixed_teacher_bench, gradients_bench
from benchmarks.measuring import Row, table
from benchmarks.problem import Shape

OUTPUT = Path("outputs/bench.json")
REPETITIONS = 4


def measure(shape: Shape, repetitions: int) -> list[Row]:
    """All rows."""
    return [*gradients_bench.measure(shape, repetitions), *fixed_teacher_bench.measure(shape, repetitions)]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; 1 where a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description="Measure what a training step costs, against targets."
    )
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="steps of each variant that count")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON file to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = measure(Shape(), options.repetitions)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([row.to_json() for row in rows], indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    missed, targets = sum(not row.ok for row in rows), sum(row.target is not None for row in rows)
    print(f"\n{options.output}: {len(rows)} rows, {missed} of {targets} targets missed")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
