"""Shuffled labels: how often the report's statistics find a difference where there is none.

    python -m experiments.no_difference                 # the table of docs/statistics.md
    python -m experiments.no_difference --runs 50

Every run compares methods on datasets whose labels were shuffled, as the report does (reporting/comparison.py):
margins to the teacher, wins and losses against the baseline, the mean over datasets, Friedman's test, Wilcoxon's with Holm,
and the sentence that may name a method. At 95 % each may be wrong in 5 % of the runs, or of the cells.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.planted_pairs import PlantedPair, draw
from kinds import KINDS, Kind
from metrics import compute_metrics
from records.evaluated import EvaluateMetrics
from reporting.comparison import compare
from reporting.evaluations import Evaluation, PairedPredictions
from reporting.gather import DatasetOutputs
from reporting.statistics import Interval
from reporting.tables import Table, markdown_table
from seeds import numpy_generator

METHODS = ("finetune", "kd", "pkd", "dist", "mse_kd", "lgtm")
DATASETS: tuple[tuple[str, tuple[float, ...], int], ...] = (
    ("accuracy", (0.5, 0.5), 40),
    ("accuracy", (0.5, 0.5), 400),
    ("macro_f1", (0.3, 0.3, 0.4), 200),
    ("matthews", (0.7, 0.3), 100),
    ("pearson", (1.0,), 150),
    ("spearman", (1.0,), 80),
    ("accuracy", (0.25, 0.25, 0.25, 0.25), 277),
    ("f1", (0.6, 0.4), 104),
    ("matthews", (0.5, 0.5), 1000),
)
"""Metric, shares of the classes ((1.0,): regression), dev rows."""


@dataclass(frozen=True)
class FalseDifferences:
    """Shares of the cells, or of the runs, in which the statistics reported a difference."""

    margins: float
    against_baseline: float
    means: float
    friedman: float
    wilcoxon: float
    named: float


def shuffled(run: int, methods: Sequence[str], seeds: Sequence[int]) -> list[DatasetOutputs]:
    """Evaluations of students as good as their teacher, on rows whose labels are independent of all predictions."""
    outputs: list[DatasetOutputs] = []
    for number, (metric, shares, rows) in enumerate(DATASETS):
        pair = PlantedPair("near", shares, 0.0)
        generator = numpy_generator(run, "no difference", number)
        drawn = draw(pair, rows, len(seeds) * len(methods), generator)
        labels = generator.permutation(drawn.labels)
        names = tuple(map(str, range(len(shares)))) if KINDS[pair.kind].has_classes else ()
        one = DatasetOutputs(f"{metric}{number}", pair.kind, names, (metric,), {"dev": rows}, 0)
        for place, (method, seed) in enumerate((method, seed) for method in methods for seed in seeds):
            logits = drawn.students[place], drawn.teachers[seed % len(seeds)]
            one.evaluations[method, seed] = _evaluation(metric, pair.kind, labels, *logits)
        outputs.append(one)
    return outputs


def _evaluation(metric: str, kind: Kind, labels: np.ndarray, student: np.ndarray, teacher: np.ndarray) -> Evaluation:
    own, others = (compute_metrics([metric], logits, labels, kind) for logits in (student, teacher))
    rows = PairedPredictions([str(row) for row in range(len(labels))], labels, student, teacher)
    # Without the sizes and times, which nothing here reads.
    metrics = EvaluateMetrics.model_construct(
        dev=own, teacher_dev=others, rows={"dev": len(labels)}, selected_on="selection"
    )
    return Evaluation(metrics, {"dev": rows})


def measure(runs: int, methods: Sequence[str] = METHODS, seeds: Sequence[int] = (0,)) -> FalseDifferences:
    """Compare on shuffled labels, as many times as given."""
    compared = [compare(shuffled(run, methods, seeds), methods, benchmark="none") for run in range(runs)]
    cells = [cell for one in compared for line in one.lines for cell in line.cells.values()]
    averages = [line.average for one in compared for line in one.lines if line.average is not None]
    return FalseDifferences(
        margins=_share([_off_zero(cell.margin.interval) for cell in cells]),
        against_baseline=_share([cell.outcome in ("win", "loss") for cell in cells if cell.outcome is not None]),
        means=_share([_off_zero(average.interval) for average in averages]),
        friedman=_share([one.ranking.test is not None and one.ranking.test.p < 1 - one.level for one in compared]),
        wilcoxon=_share([min(one.ranking.wilcoxon.values(), default=1.0) < 1 - one.level for one in compared]),
        named=_share(["told apart from all others" in one.ranking.note for one in compared]),
    )


def _off_zero(found: Interval) -> bool:
    return found.low is not None and found.high is not None and not found.low <= 0 <= found.high


def _share(found: Sequence[bool]) -> float:
    return float(np.mean(found)) if found else 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.no_difference", description="Shuffled labels.")
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args(arguments)
    header = ["seeds", "margins off 0, % of cells", "wins and losses, % of cells", "means off 0, %"]
    header += ["Friedman, % of runs", "Wilcoxon and Holm, % of runs", "a method named, % of runs"]
    body: list[list[str]] = []
    for seeds in ((0,), (0, 1, 2)):
        found = measure(options.runs, seeds=seeds)
        shares = (found.margins, found.against_baseline, found.means, found.friedman, found.wilcoxon, found.named)
        body.append([str(len(seeds)), *(f"{100 * share:.1f}" for share in shares)])
    print(markdown_table(Table(header, body, names=0)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
