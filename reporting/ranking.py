"""Ranks of methods over datasets and tests of their differences: Friedman, Nemenyi, and Wilcoxon with Holm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reporting.significance import (
    FEWEST_DATASETS,
    FEWEST_METHODS,
    Friedman,
    average_ranks,
    critical_difference,
    friedman,
    holm,
    wilcoxon,
)


@dataclass(frozen=True)
class Ranking:
    """Average ranks (1 is best) and the tests, None below three datasets; `note` is the interpretation."""

    average: dict[str, float]
    test: Friedman | None
    critical_difference: float | None
    """Nemenyi's critical difference of average ranks."""
    wilcoxon: dict[str, float]
    """Method -> p against the baseline, Holm-corrected; {} if no test could find a difference."""
    note: str


def rank_methods(
    scores: Mapping[str, Sequence[float]], datasets: Sequence[str], baseline: str, level: float
) -> Ranking:
    """Rank methods by scores (higher is better), one per dataset; too few of either give ranks without a test."""
    if len(scores) < 2:
        return Ranking({}, None, None, {}, "no ranks: fewer than two methods ran on every dataset")
    table = np.array([scores[name] for name in scores]).T
    average = dict(zip(scores, average_ranks(table).tolist(), strict=True))
    if len(datasets) < FEWEST_DATASETS or len(scores) < FEWEST_METHODS:
        short = f"{_count(len(datasets), 'dataset')} and {_count(len(scores), 'method')} on all of them"
        needed = f"{FEWEST_DATASETS} datasets and {FEWEST_METHODS} methods"
        return Ranking(average, None, None, {}, f"no rank test: {short}, {needed} are needed at least")
    test = friedman(table)
    difference = critical_difference(len(scores), len(datasets), level)
    smallest = min(1.0, 2 / 2 ** len(datasets) * (len(scores) - 1))
    against: dict[str, float] = {}
    if baseline in scores and smallest < 1 - level:
        against = holm(
            {name: wilcoxon(np.subtract(scores[name], scores[baseline])) for name in scores if name != baseline}
        )
    return Ranking(average, test, difference, against, _note(test, difference, average, level, smallest))


def _note(test: Friedman, difference: float, average: Mapping[str, float], level: float, smallest: float) -> str:
    """The tests in words, with the limits of few datasets."""
    differ = "differ" if test.p < 1 - level else "are not told apart"
    text = (
        f"Friedman's test over {test.datasets} datasets and {test.methods} methods: statistic {test.statistic:.2f}, "
        f"p {p_text(test.p)} (by permutations): the methods {differ}. Nemenyi's critical difference of average ranks at "
        f"{100 * level:g} %: {difference:.2f}"
    )
    if difference >= test.methods - 1:
        text += f", more than ranks can differ with {test.datasets} datasets"
    if smallest >= 1 - level:
        text += f". Wilcoxon's p with Holm can't fall below {smallest:.2f} here, whatever the scores, and is left out"
    return f"{text}. {_best(test, difference, average, level)}."


def _best(test: Friedman, difference: float, average: Mapping[str, float], level: float) -> str:
    """The method of the lowest rank if the tests separate it from the others; else the possible best ones."""
    if test.p >= 1 - level:
        return "So no method is the best by these ranks"
    first, *others = sorted(average, key=lambda name: average[name])
    near = [name for name in others if average[name] - average[first] < difference]
    if not near:
        return f"Lowest average rank, told apart from all others: {first}, {average[first]:.1f}"
    together = ", ".join(f"{name} {average[name]:.1f}" for name in (first, *near))
    return f"Of the lowest average ranks none is told apart from the others: {together}"


def p_text(p: float) -> str:
    """'0.034', and '< 0.001' below that."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
