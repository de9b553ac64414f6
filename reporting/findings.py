"""Findings: the best student by name, students worse than the fine-tuned one, teachers with nothing to teach.

A student is called the best only if the interval of its difference to every other one is wholly above 0. A dataset whose
teacher does not pass the gate's test against a constant is left out of means and tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from config.stages import Registry
from kinds import KINDS
from metrics import compute_metrics
from reporting.gather import DatasetOutputs
from reporting.margins import better, between, told_apart
from reporting.statistics import FEWEST_ROWS, Interval, mean_interval
from reporting.verdict.check_result import TEACHER
from reporting.verdict.dev_rows import BASELINE, evidence_of
from reporting.verdict.own_checks import own_checks


@dataclass(frozen=True)
class Best:
    """The student with the highest score, on one dataset or on the mean of several."""

    method: str
    not_apart: tuple[str, ...]
    """Others whose difference from it has an interval that includes 0, or none."""
    margin: Interval
    """Margin to its teacher."""
    finetune: Interval | None
    """Margin to the fine-tuned student; None if it is that student, or there is none."""
    by: str | None = None
    """The metric used for telling it from others if the primary metric has no interval."""

    @property
    def named(self) -> bool:
        """True if intervals separate it from all others."""
        return not self.not_apart


@dataclass(frozen=True)
class Loss:
    """A method worse than fine-tuning on a dataset: the interval lies wholly on the wrong side of 0."""

    dataset: str
    metric: str
    """The primary metric, or accuracy if there are too few dev rows for its interval."""
    method: str
    interval: Interval
    by: str | None = None
    """`metric`, if it is not the primary metric."""


@dataclass(frozen=True)
class Findings:
    """Findings of all datasets and methods."""

    best: dict[str, Best]
    """Best student by dataset; none if the teacher had nothing to teach."""
    overall: Best | None
    """Best student of the mean over datasets; None for fewer than two, or if lower is better on one."""
    losses: list[Loss]
    left_out: dict[str, str] = field(default_factory=dict)
    """Dataset -> reason for excluding it from means and tests over datasets."""


def find(
    outputs: Sequence[DatasetOutputs], methods: Sequence[str], seeds: Sequence[int], level: float, settings: Registry
) -> Findings:
    """All findings at `level`, a fraction; a teacher is tested as by the gate."""
    left_out = untaught(outputs, methods, seeds, settings)
    kept = [one for one in outputs if one.name not in left_out]
    return Findings(
        best={one.name: _best([one], methods, seeds, level) for one in kept},
        overall=_best(kept, methods, seeds, level) if averaged(outputs, kept) and len(kept) > 1 else None,
        losses=[loss for one in kept for loss in _losses(one, methods, seeds, level)],
        left_out=left_out,
    )


def averaged(outputs: Sequence[DatasetOutputs], kept: Sequence[DatasetOutputs]) -> bool:
    """Return whether a mean over these datasets is meaningful: two or more, or all there are, of scores."""
    enough = len(kept) > 1 or len(kept) == len(outputs)
    return enough and all(one.sign > 0 for one in kept)


def untaught(
    outputs: Sequence[DatasetOutputs], methods: Sequence[str], seeds: Sequence[int], settings: Registry
) -> dict[str, str]:
    """Datasets with nothing to teach -> reason."""
    return {
        one.name: why for one in outputs if one.evaluations and (why := nothing_to_teach(one, methods, seeds, settings))
    }


def nothing_to_teach(
    one: DatasetOutputs, methods: Sequence[str], seeds: Sequence[int], settings: Registry
) -> str | None:
    """Return the reason why there is nothing to distil: no seed's teacher beats the constant; None otherwise."""
    own = [
        (method, seed)
        for seed in seeds
        for method in [next((name for name in methods if (name, seed) in one.evaluations), None)]
        if method is not None
    ]
    if any(one.evaluations[key].metrics.constant is None for key in own):
        return None  # of records that don't have it
    every = [evidence_of(one, *key) for key in own]
    if any(check.passed for rows in every for check in own_checks(rows, settings) if check.name == TEACHER):
        return None
    rows, other = every[0].rows, f"the {KINDS[one.kind].constant_name}"
    if rows < FEWEST_ROWS:
        return f"{rows} dev rows: too few to tell the teacher from {other}"
    metric = one.headline
    scores = [
        compute_metrics([metric], logits, part.labels, one.kind)[metric]
        for part in every
        for logits in (part.teacher, part.constants)
    ]
    above = sum(scores[::2]) - sum(scores[1::2])
    return f"teacher {'not told apart from' if one.sign * above > 0 else 'no better than'} {other}"


def _over(
    datasets: Sequence[DatasetOutputs], first: str, second: str | None, seeds: Sequence[int], level: float
) -> Interval:
    """The same as a mean over datasets."""
    parts = [between(one, first, second, seeds, level) for one in datasets]
    return parts[0] if len(parts) == 1 else mean_interval(parts, level)


def _best(datasets: Sequence[DatasetOutputs], methods: Sequence[str], seeds: Sequence[int], level: float) -> Best:
    metric, sign = datasets[0].headline, datasets[0].sign
    scores = {name: sign * sum(sum(one.values(name, seeds, methods)) for one in datasets) for name in methods}
    method = max(methods, key=scores.__getitem__)  # the first of equals
    names = [name for name in methods if name != method]
    if len(datasets) == 1:
        others = {name: told_apart(datasets[0], method, name, seeds, level) for name in names}
    else:
        others = {name: (better(_over(datasets, method, name, seeds, level), metric), None) for name in names}
    return Best(
        method=method,
        not_apart=tuple(name for name, (found, _) in others.items() if found.low is None or found.low <= 0),
        margin=_over(datasets, method, None, seeds, level),
        finetune=_over(datasets, method, BASELINE, seeds, level) if BASELINE in others else None,
        by=next((by for _, by in others.values() if by), None),
    )


def _losses(one: DatasetOutputs, methods: Sequence[str], seeds: Sequence[int], level: float) -> list[Loss]:
    if BASELINE not in methods:
        return []
    found = {name: told_apart(one, name, BASELINE, seeds, level) for name in methods if name != BASELINE}
    # Turned again, an interval of more being better is that of the metric itself.
    return [
        Loss(one.name, by or one.headline, name, better(interval, one.headline) if by is None else interval, by)
        for name, (interval, by) in found.items()
        if interval.high is not None and interval.high < 0
    ]
