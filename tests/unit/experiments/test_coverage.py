"""The intervals hold planted truths as often as they say, and the statistics find nothing in shuffled labels."""

import numpy as np
import pytest

from errors import UserError
from experiments.coverage import CoverageCell, cells, measure
from experiments.no_difference import DATASETS
from experiments.no_difference import measure as measure_shuffled
from experiments.planted_pairs import PlantedPair, Relation, draw, true_difference
from metrics import compute_metrics

BINARY, RARE_CLASS, REGRESSION = (0.5, 0.5), (0.9, 0.1), (1.0,)


def lowest(draws: int) -> float:
    """A share that 93 % coverage falls below in one of a thousand cells."""
    return 0.93 - 3.1 * float(np.sqrt(0.93 * 0.07 / draws))


def highest(count: int) -> float:
    """A share that a chance of 5 % exceeds in one of a thousand tries."""
    return 0.05 + 3.1 * float(np.sqrt(0.05 * 0.95 / count))


def test_a_metric_without_a_planted_truth_is_not_taken_for_another() -> None:
    with pytest.raises(UserError, match="'kendall' has no planted value; add one to _correlation in"):
        pair = PlantedPair("far", REGRESSION, 0.1)
        true_difference("kendall", pair, draw(pair, 100, 1, np.random.default_rng(8)))


@pytest.mark.parametrize("shares", [BINARY, RARE_CLASS, (0.6, 0.25, 0.1, 0.05), REGRESSION])
@pytest.mark.parametrize("relation", ["equal", "rare", "near", "far", "constant"])
def test_the_planted_truth_is_what_very_many_rows_give(shares: tuple[float, ...], relation: Relation) -> None:
    pair = PlantedPair(relation, shares, 0.1)
    drawn = draw(pair, 100_000, 1, np.random.default_rng(8))
    for metric in ("pearson", "spearman") if shares == REGRESSION else ("accuracy", "macro_f1", "matthews"):
        measured = [
            compute_metrics([metric], side[0], drawn.labels, pair.kind)[metric]
            for side in (drawn.students, drawn.teachers)
        ]
        assert true_difference(metric, pair, drawn) == pytest.approx(measured[0] - measured[1], abs=0.01)


@pytest.mark.parametrize(
    "cell",
    [
        CoverageCell("accuracy", PlantedPair("rare", BINARY, 0.0), 100, 1),
        CoverageCell("accuracy", PlantedPair("far", BINARY, 0.15), 50, 2),
        CoverageCell("accuracy", PlantedPair("near", BINARY, 0.15), 500, 3),
        CoverageCell("f1", PlantedPair("far", RARE_CLASS, 0.0), 20, 1),
        CoverageCell("f1", PlantedPair("rare", RARE_CLASS, 0.15), 100, 5),
        CoverageCell("macro_f1", PlantedPair("far", (0.6, 0.25, 0.1, 0.05), 0.0), 50, 1),
        CoverageCell("macro_f1", PlantedPair("near", RARE_CLASS, 0.15), 100, 2),
        CoverageCell("matthews", PlantedPair("far", RARE_CLASS, 0.0), 50, 1),
        CoverageCell("macro_f1", PlantedPair("constant", (0.25, 0.25, 0.25, 0.25), 0.0), 40, 1),
        CoverageCell("f1", PlantedPair("constant", RARE_CLASS, 0.0), 20, 1),
        CoverageCell("matthews", PlantedPair("near", BINARY, 0.15), 100, 3),
        CoverageCell("pearson", PlantedPair("rare", REGRESSION, 0.0), 100, 1),
        CoverageCell("pearson", PlantedPair("far", REGRESSION, 0.15), 20, 3),
        CoverageCell("spearman", PlantedPair("far", REGRESSION, 0.0), 50, 1),
        CoverageCell("spearman", PlantedPair("rare", REGRESSION, 0.15), 50, 2),
    ],
    ids=lambda cell: f"{cell.metric}-{cell.pair.relation}-{cell.rows}-{cell.seeds}",
)
def test_intervals_hold_the_planted_truth(cell: CoverageCell) -> None:
    assert measure(cell, 200).coverage >= lowest(200)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman"])
def test_intervals_hold_every_planted_truth(metric: str) -> None:
    found = [measure(cell, 500) for cell in cells([metric], (20, 50, 100, 500))]
    assert {one.cell for one in found if one.coverage < lowest(500)} == set()
    assert all(one.width > 0 for one in found)


@pytest.mark.parametrize(
    ("runs", "seeds"),
    [(20, (0,)), pytest.param(200, (0,), marks=pytest.mark.slow), pytest.param(200, (0, 1, 2), marks=pytest.mark.slow)],
)
def test_shuffled_labels_have_no_winner_and_no_more_significant_cells_than_the_level_allows(
    runs: int, seeds: tuple[int, ...]
) -> None:
    found = measure_shuffled(runs, seeds=seeds)
    of_runs, of_cells = highest(runs), highest(runs * len(DATASETS))  # cells of one dataset share their teacher
    assert max(found.margins, found.against_baseline) <= of_cells
    assert max(found.means, found.friedman, found.wilcoxon, found.named) <= of_runs
