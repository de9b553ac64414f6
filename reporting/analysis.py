"""The papers' analyses of their own methods, computed from stored records: correlations, shares, influence, entropy.

MPDistil's section 5 (Fig. 2 to 4 and the correlations), MetaDistil's section 5.1, LGTM's Figs. 3 and 4 and its entropy
gap, Pro-KD with and without temperature. Rows are dev rows where the papers use them; training records otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from config.methods import BASELINE, CURRICULUM
from kinds import KINDS, Floats
from records.trained import InfluenceRow
from reporting.gather import META_TEACHER, TEACHER, DatasetOutputs
from reporting.margins import difference
from reporting.method_records import Records
from reporting.propositions import FirstProposition, SecondProposition, first_propositions, second_propositions
from reporting.significance import Correlation, correlate
from reporting.statistics import Spread, mean_sd
from reporting.tables import grouped

SHARES = {
    "real_beats_pilot": "steps in which the real update lowers the quiz loss more than the pilot (0.5: the teacher's step changes nothing)",
    "teacher_comes_nearer": "steps in which the teacher's update brings it nearer to the student (0.5: the same)",
}
BINS = 20


@dataclass(frozen=True)
class Improvement:
    """Points gained on dev by one dataset and seed: meta-teacher over teacher, MPDistil's student over fine-tuning."""

    dataset: str
    seed: int
    meta_teacher: float
    student: float


@dataclass(frozen=True)
class Share:
    """One of MetaDistil's shares on one dataset: mean over epochs, and over the first and second half of them."""

    dataset: str
    what: str
    whole: Spread
    first_half: Spread
    second_half: Spread


@dataclass(frozen=True)
class EntropyGap:
    """Mean entropy (nats) of a student's predictions on dev minus its teacher's: above 0, it is less confident."""

    dataset: str
    method: str
    gap: Spread


@dataclass(frozen=True)
class FollowedRow:
    """One training row of LGTM over time."""

    dataset: str
    seed: int
    row: int
    mean_influence: float
    over_time: list[InfluenceRow]


@dataclass(frozen=True)
class Trend:
    """LGTM's influence over training, averaged over rows in equal parts of the steps; gap: of binary entropies."""

    dataset: str
    positive: list[float]
    """Means of the rows with a positive mean influence, part by part; [] without such rows."""
    negative: list[float]
    entropy_gap: list[float]
    """Student minus teacher, for true class against the rest: exact with two classes; [] for regression."""


@dataclass(frozen=True)
class Analysis:
    """All analyses; a list is empty, and a correlation None, if the records are missing or too few."""

    improvements: list[Improvement]
    improvement_correlation: Correlation | None
    score_correlation: Correlation | None
    mean_rewards: dict[str, float]
    """Dataset -> mean reward over steps and seeds."""
    shares: list[Share]
    entropy_gaps: list[EntropyGap]
    followed: list[FollowedRow]
    trends: list[Trend]
    temperatures: list["Temperature"]
    first_propositions: list[FirstProposition]
    second_propositions: list[SecondProposition]


@dataclass(frozen=True)
class Temperature:
    """Pro-KD on one dataset: its margin to the teacher with and without the temperature, if both ran."""

    dataset: str
    with_it: Spread
    without_it: Spread


def analyse(outputs: Sequence[DatasetOutputs], records: Sequence[Records]) -> Analysis:
    """All analyses that the records allow; outputs and records are of the same datasets in the same order."""
    improvements, scores = _improvements(outputs)
    pairs = list(zip(outputs, records, strict=True))
    return Analysis(
        improvements=improvements,
        improvement_correlation=correlate([p.meta_teacher for p in improvements], [p.student for p in improvements]),
        score_correlation=correlate(*scores),
        mean_rewards={
            r.name: float(np.mean(rewards))
            for r in records
            if (rewards := [reward for one in r.curricula.values() for reward in one.rewards])
        },
        shares=[share for one in outputs for share in _shares(one)],
        entropy_gaps=[gap for one in outputs for gap in _entropy_gaps(one)],
        followed=[row for r in records for row in _followed(r)],
        trends=[trend for one, r in pairs if (trend := _trend(one, r)) is not None],
        temperatures=[found for one, r in pairs if (found := _temperature(one, r)) is not None],
        first_propositions=first_propositions(outputs, records),
        second_propositions=second_propositions(outputs, records),
    )


def _improvements(outputs: Sequence[DatasetOutputs]) -> tuple[list[Improvement], tuple[list[float], list[float]]]:
    """Improvements in points, with the underlying scores of meta-teacher and student."""
    found: list[Improvement] = []
    metas, students = [], []
    for one in outputs:
        if one.sign < 0:
            continue
        for seed in sorted(one.meta_teacher):
            if all((name, seed) in one.evaluations for name in (CURRICULUM, BASELINE)):
                columns = (META_TEACHER, TEACHER, CURRICULUM, BASELINE)
                values = [one.values(column, [seed], [CURRICULUM]) for column in columns]
                if all(values):
                    meta, teacher, student, plain = (100 * value[0] for value in values)
                    found.append(Improvement(one.name, seed, meta - teacher, student - plain))
                    metas.append(meta)
                    students.append(student)
    return found, (metas, students)


def _shares(one: DatasetOutputs) -> list[Share]:
    """MetaDistil's section 5.1 by seeds, without shares that an ablation does not measure."""
    found: list[Share] = []
    for key, what in SHARES.items():
        series = [[row[f"train_{key}"] for row in rows if f"train_{key}" in row] for rows in one.curves.values()]
        series = [values for values in series if len(values) > 1]
        if series:
            halves = [(values[: len(values) // 2], values[len(values) // 2 :]) for values in series]
            parts = (series, [first for first, _ in halves], [second for _, second in halves])
            found.append(Share(one.name, what, *(mean_sd([float(np.mean(v)) for v in part]) for part in parts)))
    return found


def _entropy_gaps(one: DatasetOutputs) -> list[EntropyGap]:
    if not KINDS[one.kind].has_classes:
        return []
    rows = [(method, one.dev(method, seed)) for method, seed in one.evaluations]
    by_method = grouped(
        (method, float(entropy(own.student).mean() - entropy(own.teacher).mean())) for method, own in rows
    )
    return [EntropyGap(one.name, method, mean_sd(gaps)) for method, gaps in by_method.items()]


def entropy(logits: Floats) -> Floats:
    """Entropy in nats of softmax(logits): (N, C) -> (N,)."""
    log_p = log_softmax(logits, axis=1)
    return -(np.exp(log_p) * log_p).sum(axis=1)


def _followed(records: Records) -> list[FollowedRow]:
    """Pick the first seed's rows with the lowest and the highest mean influence among those seen most often (Fig. 3)."""
    if not records.influence:
        return []
    seed = min(records.influence)
    by_row = _by_row(records.influence[seed])
    most = max((len(rows) for rows in by_row.values()), default=0)
    means = {row: float(np.mean([r.influence for r in rows])) for row, rows in by_row.items() if len(rows) == most}
    chosen = (
        dict.fromkeys((min(means, key=lambda row: means[row]), max(means, key=lambda row: means[row]))) if means else {}
    )
    return [FollowedRow(records.name, seed, row, means[row], by_row[row]) for row in chosen]


def _trend(one: DatasetOutputs, records: Records) -> Trend | None:
    """Fig. 4: rows grouped by the sign of their mean influence, seeds pooled, with the entropy gap over time."""
    sides: dict[bool, list[InfluenceRow]] = {True: [], False: []}
    for rows in records.influence.values():
        for own in _by_row(rows).values():
            sides[float(np.mean([r.influence for r in own])) > 0] += own
    every = sides[True] + sides[False]
    if not every:
        return None
    last = max(row.step for row in every) + 1
    gaps = [_binary_entropy(r.student) - _binary_entropy(r.teacher) for r in every if KINDS[one.kind].has_classes]
    return Trend(
        one.name,
        _binned([r.step for r in sides[True]], [r.influence for r in sides[True]], last),
        _binned([r.step for r in sides[False]], [r.influence for r in sides[False]], last),
        _binned([r.step for r in every] if gaps else [], gaps, last),
    )


def _by_row(rows: Sequence[InfluenceRow]) -> dict[int, list[InfluenceRow]]:
    return grouped((row.row, row) for row in sorted(rows, key=lambda row: row.step))


def _binned(steps: Sequence[int], values: Sequence[float], last: int) -> list[float]:
    """Means of the values in equal parts of the steps, empty parts interpolated linearly; [] without values."""
    if not steps:
        return []
    parts = min(BINS, last)
    numbers = np.array(steps) * parts // last
    full = np.unique(numbers)
    means = [float(np.mean(np.array(values)[numbers == part])) for part in full]
    return np.interp(np.arange(parts), full, means).tolist()


def _binary_entropy(p: float) -> float:
    inside = min(max(p, 1e-12), 1 - 1e-12)
    return float(-inside * np.log(inside) - (1 - inside) * np.log(1 - inside))


def _temperature(one: DatasetOutputs, records: Records) -> Temperature | None:
    """Margins of Pro-KD's runs by their recorded setting; None unless both settings ran."""
    margins: dict[bool, list[float]] = {True: [], False: []}
    for (method, seed), cooled in records.ablations.items():
        if (method, seed) in one.evaluations:
            margins[cooled].append(difference(one, method, seed))
    if not all(margins.values()):
        return None
    return Temperature(one.name, mean_sd(margins[True]), mean_sd(margins[False]))
