"""Unlearnable labels: how many students of a guessing teacher would pass the gate's tests.

    python -m experiments.shuffled                    # the table of docs/registry.md
    python -m experiments.shuffled --runs 200

The teacher guesses among classes of one size, where a guess comes nearest to the majority; its student repeats it on 95 %
of the rows. Beside the gate's tests stand the same without what makes them strict: the level of `registry.level` alone,
and no Matthews beside F1.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from config.stages import Registry
from kinds import KINDS, Kind
from reporting.statistics import paired_interval
from reporting.verdict.check_result import Verdict
from reporting.verdict.dev_rows import DevRows
from reporting.verdict.own_checks import own_checks
from seeds import numpy_generator

CASES = (
    ("accuracy", 2),
    ("accuracy", 7),
    ("f1", 2),
    ("macro_f1", 2),
    ("macro_f1", 7),
    ("matthews", 2),
    ("pearson", 1),
    ("mse", 1),
)
"""Metric and classes; 1: regression."""
ROWS = (100, 300, 1000)
AGREEMENT = 0.95


def shuffled(run: int, metric: str, classes: int, rows: int) -> DevRows:
    """One student of a teacher that guesses."""
    draw = numpy_generator(run, f"shuffled labels {metric} {classes} {rows}")
    kind: Kind = "regression" if classes == 1 else "single"
    if not KINDS[kind].has_classes:
        labels = draw.normal(3, 1, rows)
        teacher = 3 + 0.3 * draw.normal(size=(rows, 1))
        student = teacher + 0.1 * draw.normal(size=(rows, 1))
        return DevRows(metric, kind, labels, student, teacher, 3.0, None, "selection", 1, 1.0)
    labels, said = draw.integers(0, classes, rows), draw.integers(0, classes, rows)
    repeated = np.where(draw.random(rows) < AGREEMENT, said, draw.integers(0, classes, rows))
    teacher, student = np.eye(classes)[said], np.eye(classes)[repeated]
    return DevRows(metric, kind, labels, student, teacher, 0.0, None, "selection", 1, 1.0)


def passes(rows: DevRows, settings: Registry) -> bool:
    """Return whether the gate accepts a student."""
    return Verdict(own_checks(rows, settings)).passed


def would_pass(rows: DevRows, level: float) -> bool:
    """Return whether teacher and student are above the majority at a level, in the primary metric alone."""
    for logits in (rows.teacher, rows.student):
        found = paired_interval(rows.metric, rows.kind, rows.labels, [logits], [rows.constants], level)
        ends = [rows.scale * end for end in (found.low, found.high) if end is not None]
        if not ends or min(ends) <= 0:
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.shuffled", description="The gate on shuffled labels.")
    parser.add_argument("--runs", type=int, default=2000)
    runs, settings = range(parser.parse_args(arguments).runs), Registry()
    print(
        "| metric | classes | dev rows | pass, % | at 90 % and the metric alone, % |",
        "|---|---:|---:|---:|---:|",
        sep="\n",
    )
    for metric, classes in CASES:
        for count in ROWS:
            made = [shuffled(run, metric, classes, count) for run in runs]
            strict = 100 * np.mean([passes(rows, settings) for rows in made])
            loose = 100 * np.mean([would_pass(rows, settings.level) for rows in made])
            print(f"| {metric} | {classes} | {count:,} | {strict:.2f} | {loose:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
