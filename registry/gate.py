"""The gate of `champion`: tests of the candidate itself, then a comparison with the present champion.

The comparison is of task losses on dev rows that both have predicted, none of which either was trained on. The mean of
the new version must not be higher. Why neither an interval's overlap nor a tolerance is enough: docs/registry.md, "1,000
nights".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from config.stages import Registry
from records.registered import Check
from reporting.statistics import Interval, paired_mean_interval
from reporting.verdict.check_result import CHAMPION, Verdict, unasked

Losses = Mapping[tuple[str, str, float], float]
"""(set, row id, label) -> task loss."""

PROMOTE = "`python -m flows promote` moves it by hand"
# A difference this small is that of two machines' arithmetic.
ARITHMETIC = 1e-6
SELECTION = "selection"


@dataclass(frozen=True)
class Holder:
    """The present champion."""

    number: int
    losses: Losses | None
    """None: the registry holds no predictions of it."""
    selected_on: str
    unfit: str = ""
    """The first test that it fails itself, if the gate had accepted it; empty if there is none."""


@dataclass(frozen=True)
class Judged:
    """The verdict on a version, in one sentence with every test."""

    verdict: Verdict
    text: str

    @property
    def passed(self) -> bool:
        return self.verdict.passed


def read_losses(path: Path) -> Losses:
    """The student's task losses on the dev rows of a predictions.parquet. Selection rows chose its epoch: left out."""
    table = parquet.read_table(path, columns=["set", "row_id", "label", "student_loss"])
    rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    return {(of, row_id, label): loss for of, row_id, label, loss in rows if of != SELECTION}


def judge(
    number: int, own: tuple[Check, ...], losses: Losses, selected_on: str, settings: Registry, holder: Holder | None
) -> Judged:
    """Return whether a version may become champion.

    Args:
        number: the version's.
        own: the tests of its own dev rows.
        losses: its task losses.
        selected_on: what it was selected on.
        settings: section `registry` of params.yaml.
        holder: the present champion, if there is one.
    """
    verdict = Verdict((*own, against_champion(number, losses, settings, holder)))
    if verdict.passed:
        start = f"version {number} {f'takes version {holder.number}' + chr(39) + 's place as' if holder else 'becomes'} champion"
    else:
        stays = f"version {holder.number} stays champion, " if holder else ""
        start = f"{stays}version {number} does not become {'it' if holder else 'champion'}"
    on_dev = "dev" in (selected_on, holder.selected_on if holder else "")
    return Judged(verdict, f"{start}; {verdict.text}{' (selected on dev)' if on_dev else ''}")


def against_champion(number: int, losses: Losses, settings: Registry, holder: Holder | None) -> Check:
    """The test against the present champion."""
    threshold = "not above 0" + (f" to version {holder.number}" if holder else "")
    if holder is None:
        return unasked(CHAMPION, "there is none", threshold)
    if holder.unfit:  # a constant may have a lower loss than a student that is right and too sure of it
        return unasked(CHAMPION, f"version {holder.number} would not pass itself: {holder.unfit}", threshold)
    if holder.losses is None:
        text = f"{CHAMPION}: the registry holds no predictions of version {holder.number} to compare with; {PROMOTE}"
        return Check(CHAMPION, False, "no predictions", threshold, text)
    both = sorted(losses.keys() & holder.losses.keys())
    if len(both) < settings.minimum_rows:
        figure = f"{len(both)} dev rows that version {number} and version {holder.number} have both predicted"
        text = f"{CHAMPION}: {figure}, below registry.minimum_rows {settings.minimum_rows}: too few to tell; {PROMOTE}"
        return Check(CHAMPION, False, figure, threshold, text)
    own, other = (np.array([found[row] for row in both]) for found in (losses, holder.losses))
    return _compared(holder.number, paired_mean_interval([own], [other], settings.level), threshold)


def _compared(champion: int, found: Interval, threshold: str) -> Check:
    """The test by the interval of the new version's losses minus the champion's; higher is worse."""
    ends = (
        "no interval: too few rows"
        if found.low is None or found.high is None
        else f"{found.low:+.4f}, {found.high:+.4f} at {100 * found.level:g} %"
    )
    figure = f"task loss {found.difference:+.4f} [{ends}] to version {champion} on {found.rows} dev rows"
    if found.difference > ARITHMETIC:
        return Check(CHAMPION, False, figure, threshold, f"{CHAMPION}: {figure}, above 0: it is no better")
    better = "better" if found.high is not None and found.high < -ARITHMETIC else "not worse"
    return Check(CHAMPION, True, figure, threshold, f"{CHAMPION}: {figure}, not above 0: it is {better}")
