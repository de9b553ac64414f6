"""Whether a version may become champion: limits, then the margin to its teacher, or a paired comparison of task losses.

It is stopped only by evidence that it is worse: an interval of the loss difference that lies wholly on the worse side.
Two versions are compared on rows that both have predicted. A version predicts rows that it was not trained on, so
neither was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from config import Registry
from training.statistics import FEWEST_ROWS, Interval, paired_mean_interval

Losses = Mapping[tuple[str, str, float], float]
"""(set, row id, label) -> task loss."""

PROMOTE = "`python -m flows promote` moves it by hand"
# A difference this small is that of two machines' arithmetic.
ARITHMETIC = 1e-6


@dataclass(frozen=True)
class Claim:
    """What a version brings to the gate."""

    number: int
    parameters: int
    latency_ms: float
    margin_points: float
    """Headline metric on dev, student minus teacher."""
    headline: str
    selected_on: str
    losses: Losses


@dataclass(frozen=True)
class Verdict:
    """What the gate says, in one sentence with the figures."""

    passed: bool
    text: str


def read_losses(path: Path, selected_on: str) -> Losses:
    """The student's task losses in a predictions.parquet.

    Under the papers' protocol the selection rows are the dev rows again: they count once, as dev rows.
    """
    table = parquet.read_table(path, columns=["set", "row_id", "label", "student_loss"])
    rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    return {(of, row_id, label): loss for of, row_id, label, loss in rows if (of, selected_on) != ("selection", "dev")}


def over_limit(claim: Claim, settings: Registry) -> str | None:
    """How a version breaks one of the absolute limits; None if it keeps them."""
    if settings.max_parameters is not None and claim.parameters > settings.max_parameters:
        return f"{claim.parameters:,} parameters are above registry.max_parameters {settings.max_parameters:,}"
    if settings.max_latency_ms is not None and claim.latency_ms > settings.max_latency_ms:
        return f"a latency of {claim.latency_ms:.2f} ms is above registry.max_latency_ms {settings.max_latency_ms:g}"
    return None


def judge_first(claim: Claim, settings: Registry) -> Verdict:
    """Whether a version may be champion where there is none."""
    who, broken = f"version {claim.number}", over_limit(claim, settings)
    if broken:
        return Verdict(False, _labelled(f"{who} does not become the first champion: {broken}", claim.selected_on))
    figures = f"{claim.headline} on dev is {claim.margin_points:+.1f} points from its teacher's"
    if claim.margin_points < settings.first_margin:
        text = f"{who} does not become the first champion: its {figures}, below registry.first_margin {settings.first_margin:+.1f}"
        return Verdict(False, _labelled(text, claim.selected_on))
    text = f"{who} is the first champion: its {figures}, at least registry.first_margin {settings.first_margin:+.1f}"
    return Verdict(True, _labelled(text, claim.selected_on))


def judge(claim: Claim, settings: Registry, champion: int, losses: Losses | None, selected_on: str) -> Verdict:
    """Whether a version may take the champion's place.

    Args:
        claim: the version.
        settings: section `registry` of params.yaml.
        champion: the champion's number.
        losses: its task losses; None if the registry has no predictions of it.
        selected_on: what it was selected on.
    """
    label = "dev" if "dev" in (claim.selected_on, selected_on) else ""
    who, stays = f"version {claim.number}", f"version {champion} stays champion"
    broken = over_limit(claim, settings)
    if broken:
        return Verdict(False, _labelled(f"{stays}: of {who}, {broken}", label))
    if losses is None:
        text = f"{stays}: the registry holds no predictions of it to compare {who} with; {PROMOTE}"
        return Verdict(False, _labelled(text, label))
    both = sorted(claim.losses.keys() & losses.keys())
    if len(both) < max(FEWEST_ROWS, settings.minimum_rows):
        text = (
            f"{stays}: too few rows to tell, {who} and it have both predicted {len(both)}, below registry.minimum_rows "
            f"{settings.minimum_rows} or the {FEWEST_ROWS} that an interval needs; {PROMOTE}"
        )
        return Verdict(False, _labelled(text, label))
    own, other = (np.array([found[row] for row in both]) for found in (claim.losses, losses))
    return _compared(claim.number, champion, paired_mean_interval([own], [other], settings.level), label)


def _compared(number: int, champion: int, found: Interval, label: str) -> Verdict:
    """The verdict on an interval of losses, the new version's minus the champion's: more is worse."""
    low, high = found.low or 0.0, found.high or 0.0
    figures = (
        f"{found.difference:+.4f} on {found.rows} rows that both have predicted "
        f"({100 * found.level:g} % interval {low:+.4f} to {high:+.4f})"
    )
    if low > ARITHMETIC:
        text = f"version {champion} stays champion: version {number} is worse, its task loss differs by {figures}"
        return Verdict(False, _labelled(text, label))
    better = "is better" if high < -ARITHMETIC else "is not told apart from it, which does not block"
    text = f"version {number} takes version {champion}'s place as champion: it {better}, its task loss differs by {figures}"
    return Verdict(True, _labelled(text, label))


def _labelled(text: str, selected_on: str) -> str:
    """The sentence, with the label that every number carries under the papers' protocol."""
    return f"{text} (selected on dev)" if selected_on == "dev" else text
