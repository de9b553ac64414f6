"""Methods side by side over datasets and seeds: margins to the teacher, wins against a baseline, ranks, effort.

Every interval is of paired differences on dev, over rows and, from two seeds on, over seeds. A dataset on which a method did
not run, or has no meaning, is a gap with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from config.methods import BASELINE, method_of, refusal
from errors import UserError
from kinds import KINDS
from reporting.effort import Effort, mean_effort
from reporting.gather import DEV, TEACHER, DatasetOutputs
from reporting.margins import Margin, better, between, difference, margin_of
from reporting.ranking import Ranking, rank_methods
from reporting.statistics import LEVEL, Interval, Spread, mean_interval, mean_sd

Outcome = Literal["win", "tie", "loss"]
BASELINES = ("kd", BASELINE)
NOT_RUN = "not run"


@dataclass(frozen=True)
class Cell:
    """One method on one dataset."""

    seeds: tuple[int, ...]
    score: Spread
    margin: Margin
    against: Interval | None
    """Method minus baseline on dev, over their common seeds; None for the baseline itself."""
    outcome: Outcome | None
    """Against the baseline; a tie: the interval includes 0, or there are too few rows for one."""
    effort: Effort | None


@dataclass(frozen=True)
class MethodLine:
    """One method on all datasets; `missing` gives the reason for absent cells."""

    method: str
    cells: dict[str, Cell]
    missing: dict[str, str]
    average: Margin | None
    """Mean over datasets; None if one is missing, or if lower is better on one."""
    wins: int
    ties: int
    losses: int
    effort: Effort | None


@dataclass(frozen=True)
class Comparison:
    """All methods; scores are fractions."""

    benchmark: str
    datasets: dict[str, str]
    """Dataset -> primary metric."""
    dev_rows: dict[str, int]
    seeds: tuple[int, ...]
    baseline: str
    teacher: dict[str, Spread]
    lines: list[MethodLine]
    ranking: Ranking
    points: dict[str, int]
    """Method -> number of grid points tried; unnamed methods had one."""
    selected_on: str
    level: float
    left_out: dict[str, str]
    """Dataset -> reason for excluding it from means, wins, ties, losses and ranks."""
    notes: list[str]


def choose_baseline(methods: Sequence[str], wanted: str | None = None) -> str:
    """The baseline: `wanted`, else kd, finetune, or the first method."""
    if wanted is not None and wanted not in methods:
        raise UserError(f"baseline {wanted}: not among the methods that are compared: {', '.join(methods)}")
    return wanted or next((name for name in BASELINES if name in methods), methods[0])


def compare(
    outputs: Sequence[DatasetOutputs],
    methods: Sequence[str],
    *,
    benchmark: str,
    baseline: str | None = None,
    points: Mapping[str, int] | None = None,
    level: float = LEVEL,
    left_out: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare what was evaluated; datasets in `left_out` (name -> why) have cells, and count in no mean and no test. Raises UserError if that is nothing, or if the baseline is not among the methods."""
    held = choose_baseline(methods, baseline)
    outputs = [one for one in outputs if one.evaluations]
    if not outputs:
        raise UserError("no student was evaluated that could be compared; run `dvc repro` first")
    without = {one.name: why for one in outputs if (why := (left_out or {}).get(one.name))}
    lines = [_line(outputs, method, held, level, without) for method in methods]
    evaluations = [evaluation.metrics for one in outputs for evaluation in one.evaluations.values()]
    return Comparison(
        benchmark=benchmark,
        datasets={one.name: one.headline for one in outputs},
        dev_rows={one.name: len(one.dev(*next(iter(one.evaluations))).row_ids) for one in outputs},
        seeds=tuple(sorted({seed for one in outputs for _, seed in one.evaluations})),
        baseline=held,
        teacher={one.name: _teacher(one) for one in outputs},
        lines=lines,
        ranking=_ranking([one for one in outputs if one.name not in without], lines, held, level),
        points={name: count for name, count in (points or {}).items() if name in methods},
        selected_on=DEV if any(one.selected_on == DEV for one in evaluations) else "selection",
        level=level,
        left_out=without,
        notes=_notes(outputs, lines),
    )


def _line(
    outputs: Sequence[DatasetOutputs], method: str, baseline: str, level: float, left_out: Mapping[str, str]
) -> MethodLine:
    cells: dict[str, Cell] = {}
    missing: dict[str, str] = {}
    for one in outputs:
        if seeds := sorted(seed for name, seed in one.evaluations if name == method):
            cells[one.name] = _cell(one, method, seeds, baseline, level)
        else:
            columns = KINDS[one.kind].columns(one.label_names)
            missing[one.name] = refusal(method_of(method), one.name, one.kind, columns) or NOT_RUN
    outcomes = [cell.outcome for name, cell in cells.items() if name not in left_out]
    return MethodLine(
        method,
        cells,
        missing,
        average=_average([one for one in outputs if one.name not in left_out], method, cells, level),
        wins=outcomes.count("win"),
        ties=outcomes.count("tie"),
        losses=outcomes.count("loss"),
        effort=mean_effort([cell.effort for cell in cells.values() if cell.effort is not None]),
    )


def _cell(one: DatasetOutputs, method: str, seeds: Sequence[int], baseline: str, level: float) -> Cell:
    shared = [seed for seed in seeds if (baseline, seed) in one.evaluations]
    against = between(one, method, baseline, shared, level) if shared and method != baseline else None
    return Cell(
        seeds=tuple(seeds),
        score=mean_sd(one.values(method, seeds, [method])),
        margin=margin_of(one, method, seeds, level),
        against=against,
        outcome=None if against is None else _outcome(against, one.headline),
        effort=mean_effort([one.efforts[method, seed] for seed in seeds if (method, seed) in one.efforts]),
    )


def _outcome(against: Interval, metric: str) -> Outcome:
    found = better(against, metric)
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "tie"
    return "win" if found.low > 0 else "loss"


def _average(outputs: Sequence[DatasetOutputs], method: str, cells: Mapping[str, Cell], level: float) -> Margin | None:
    """The mean margin over datasets; its spread is over the seeds that the method has on all of them."""
    if not outputs or any(one.name not in cells or one.sign < 0 for one in outputs):
        return None
    shared = sorted(set.intersection(*(set(cells[one.name].seeds) for one in outputs)))
    by_seed = [float(np.mean([difference(one, method, seed) for one in outputs])) for seed in shared]
    whole = mean_interval([cells[one.name].margin.interval for one in outputs], level)
    return Margin(whole, mean_sd(by_seed) if by_seed else Spread(whole.difference, None, 0), None)


def _teacher(one: DatasetOutputs) -> Spread:
    """The teacher's score, one value per seed."""
    by_seed = {seed: one.values(TEACHER, [seed], [method])[0] for method, seed in one.evaluations}
    return mean_sd(list(by_seed.values()))


def _ranking(outputs: Sequence[DatasetOutputs], lines: Sequence[MethodLine], baseline: str, level: float) -> Ranking:
    """Ranks of the methods with a score on every dataset; signs are flipped where lower is better."""
    if not outputs:
        return Ranking({}, None, None, {}, "no ranks: no dataset had anything to teach")
    sign = {one.name: one.sign for one in outputs}
    whole = [line for line in lines if sign.keys() <= line.cells.keys()]
    scores = {line.method: [sign[name] * line.cells[name].score.mean for name in sign] for line in whole}
    return rank_methods(scores, [one.name for one in outputs], baseline, level)


def _notes(outputs: Sequence[DatasetOutputs], lines: Sequence[MethodLine]) -> list[str]:
    """Caveats for comparing the numbers."""
    found: list[str] = []
    for one in outputs:
        own = {line.method: line.cells[one.name].seeds for line in lines if one.name in line.cells}
        if len(set(own.values())) > 1:
            most = max(own.values(), key=len)
            texts = ", ".join(f"{method} {_listed(seeds)}" for method, seeds in own.items() if seeds != most)
            found.append(f"{one.name}: not every method has the same seeds ({_listed(most)}; {texts})")
    return found


def _listed(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))
