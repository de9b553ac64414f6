"""Coverage and width of the report's intervals: a simulation with planted differences.

    python -m experiments.coverage                      # the tables of docs/statistics.md
    python -m experiments.coverage --draws 100 --metrics f1 --rows 20 50

A cell that holds the truth in fewer than 95 % of its draws is drawn again, five times as often, and that counts: the lowest
of many cells is else the unluckiest.

Every cell draws dev rows with a student and a teacher, one pair a training seed, whose difference over all rows and seeds
is known (experiments/planted_pairs.py), and asks `paired_interval` for 95 %. A table's line is the lowest coverage of its
cells, their mean, and the mean width in points.
"""

import argparse
import itertools
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from experiments.planted_pairs import PlantedPair, Relation, draw, true_difference
from reporting.statistics import FEWEST_ROWS, fewest_rows, paired_interval
from reporting.tables import Table, markdown_table
from seeds import numpy_generator

METRICS = ("accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman")
ROWS = (20, 50, 100, 500, 5000)
SEEDS = (1, 2, 3, 5)
RELATIONS: tuple[Relation, ...] = ("equal", "rare", "near", "far", "constant")
SHARES = {
    "accuracy": ((0.5, 0.5),),
    "f1": ((0.5, 0.5), (0.9, 0.1)),
    "macro_f1": ((0.5, 0.5), (0.9, 0.1), (0.6, 0.25, 0.1, 0.05)),
    "matthews": ((0.5, 0.5), (0.9, 0.1)),
}
SPREADS = (0.0, 0.15)
"""Standard deviations of skill over training seeds: 0 and about 3 points of accuracy."""
LEVEL = 0.95
AGAIN = 5


@dataclass(frozen=True)
class CoverageCell:
    """One kind of pair with a number of dev rows and of training seeds."""

    metric: str
    pair: PlantedPair
    rows: int
    seeds: int


@dataclass(frozen=True)
class Measured:
    """Shares of the draws whose interval covers the truth, and mean width, as fractions."""

    cell: CoverageCell
    draws: int
    coverage: float
    width: float


def cells(
    metrics: Sequence[str] = METRICS,
    rows: Sequence[int] = ROWS,
    seeds: Sequence[int] = SEEDS,
    relations: Sequence[Relation] = RELATIONS,
) -> list[CoverageCell]:
    """All cells whose metric has an interval; with one seed the spread over seeds is not varied."""
    return [
        CoverageCell(metric, PlantedPair(relation, shares, spread), count, seed)
        for metric, count, seed in itertools.product(metrics, rows, seeds)
        for shares in SHARES.get(metric, ((1.0,),))
        for relation in relations
        for spread in (SPREADS if seed > 1 else SPREADS[:1])
        if count >= fewest_rows(metric, len(shares))
    ]


def measure(cell: CoverageCell, draws: int, first: int = 0) -> Measured:
    """Draw a cell's rows and models repeatedly, numbered from `first`."""
    held, width, truth = 0, 0.0, 0.0
    pair = cell.pair
    for number in range(first, first + draws):
        generator = numpy_generator(number, "coverage", repr(cell))
        drawn = draw(pair, cell.rows, cell.seeds, generator)
        found = paired_interval(cell.metric, pair.kind, drawn.labels, drawn.students, drawn.teachers, LEVEL)
        if cell.seeds == 1 or number == first:  # from two seeds on it is that of all seeds, the same for every draw
            truth = true_difference(cell.metric, pair, drawn)
        if found.low is None or found.high is None:
            raise ValueError(f"{cell}: no interval ({found.method}); rows from {FEWEST_ROWS} on")
        held += found.low - 1e-12 <= truth <= found.high + 1e-12
        width += found.high - found.low
    return Measured(cell, draws, held / draws, width / draws)


def measure_well(cell: CoverageCell, draws: int) -> Measured:
    """Measure a cell; repeat it with more draws if its coverage seems low, use a tenth if it is certain to cover."""
    if cell.pair.relation == "equal":
        return measure(cell, max(1, draws // 10))
    found = measure(cell, draws)
    return found if found.coverage >= LEVEL else measure(cell, AGAIN * draws, first=draws)


def measure_all(cells: Sequence[CoverageCell], draws: int, workers: int) -> list[Measured]:
    """Cells of 5,000 rows with a quarter of the draws."""
    counts = [draws if cell.rows < 5000 else max(1, draws // 4) for cell in cells]
    if workers == 1:
        return [measure_well(cell, count) for cell, count in zip(cells, counts, strict=True)]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(measure_well, cells, counts, chunksize=4))


def table(found: Iterable[Measured], column: str) -> str:
    """Metric by rows in Markdown, a column for each value of `column`: lowest coverage, mean coverage, mean width."""
    by: dict[tuple[str, int], dict[object, list[Measured]]] = {}
    for one in found:
        value = one.cell.seeds if column == "seeds" else getattr(one.cell.pair, column)
        by.setdefault((one.cell.metric, one.cell.rows), {}).setdefault(value, []).append(one)
    values = list(dict.fromkeys(value for line in by.values() for value in line))
    header = ["metric", "dev rows", *(f"{value}{_word(column, value)}" for value in values)]
    body = [
        [metric, f"{rows:,}", *(_text(line.get(value, [])) for value in values)] for (metric, rows), line in by.items()
    ]
    return markdown_table(Table(header, body))


def _word(column: str, value: object) -> str:
    return "" if column != "seeds" else " seed" if value == 1 else " seeds"


def _text(found: Sequence[Measured]) -> str:
    """'94.1 / 96.0, 7.2'."""
    if not found:
        return ""
    coverages = [100 * one.coverage for one in found]
    return f"{min(coverages):.1f} / {np.mean(coverages):.1f}, {100 * np.mean([one.width for one in found]):.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables, and the cells with the lowest coverage."""
    parser = argparse.ArgumentParser(prog="python -m experiments.coverage", description="Coverage of the intervals.")
    parser.add_argument("--draws", type=int, default=300, help="draws per cell (300)")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=METRICS)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--relations", nargs="+", choices=RELATIONS, default=RELATIONS)
    options = parser.parse_args(arguments)
    if min(options.rows) < FEWEST_ROWS:
        parser.error(f"--rows {min(options.rows)}: there are no intervals under {FEWEST_ROWS} rows")
    found = measure_all(
        cells(options.metrics, options.rows, options.seeds, options.relations), options.draws, options.workers
    )
    print("Lowest coverage / mean coverage of 95 % intervals, mean width in points, by seeds:")
    print(table(found, "seeds"))
    print("By relation:", table(found, "relation"), "The ten cells of lowest coverage:", sep="\n")
    for one in sorted(found, key=lambda one: one.coverage)[:10]:
        print(f"  {100 * one.coverage:.1f} % of {one.draws}: {one.cell}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
