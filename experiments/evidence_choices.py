"""Two tables on choices: what was measured first, on selection alone; and what choosing on dev would have claimed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from config.methods import BASELINE
from epoch_choice import SelectedBy, SelectionRule, of_row
from experiments.evidence_gap import interval_text, signed
from experiments.evidence_rows import Evidence, budget_values, curve_of, gap_of, start_text
from experiments.gap import is_above
from experiments.method_runs import MethodResult
from experiments.result_rows import Setup
from experiments.results import MISSING, spread_text
from reporting.tables import Table, grouped, markdown_table

RULES: tuple[SelectedBy, ...] = ("loss", "metric_then_loss")


def first_measured(evidence: Evidence) -> str:
    """Start, epochs and rule for the epoch, by the primary metric on selection; dev is not read."""
    body = []
    by = grouped(((row.dataset, row.method, row.setup), row) for row in evidence.students)
    for (dataset, method, setup), rows in sorted(by.items(), key=lambda item: item[0][:2]):
        curves = [curve for row in rows if (curve := [one for one in curve_of(row) if "epoch" in one])]
        if curves:
            kept = [_by_rule(rows[0].metric, curves, rule) for rule in RULES]
            last = spread_text([100 * curve[-1][f"selection_{rows[0].metric}"] for curve in curves], "{:.1f}")
            epochs = "/".join(dict.fromkeys(str(len(curve)) for curve in curves))
            body.append([dataset, method, start_text(setup), str(len(curves)), epochs, *kept, last])
    if not body:
        return ""
    said = (
        "The primary metric on **selection** of the epoch that each rule keeps (its number), and of the last one. Dev is not "
        "looked at here. What chooses an epoch is compared within one training, so only these two columns share all else.\n"
    )
    header = [
        "dataset",
        "method",
        "student starts from",
        "seeds",
        "epochs",
        "kept by the loss",
        "kept by the metric",
        "last",
    ]
    return "\n".join(["## Measured first, on selection", "", said, markdown_table(Table(header, body, names=3))])


def _by_rule(metric: str, curves: Sequence[Sequence[Mapping[str, float]]], by: SelectedBy) -> str:
    """'79.1 ± 0.4 (2, 3)': the score on selection, and the epoch of each seed."""
    rule, kept = SelectionRule(by, metric), []
    for curve in curves:
        scores = {int(row["epoch"]): of_row(row) for row in curve}
        kept.append((rule.best(scores), scores))
    numbers = ", ".join(str(epoch) for epoch, _ in kept)
    return f"{spread_text([100 * scores[epoch][metric] for epoch, scores in kept], '{:.1f}')} ({numbers})"


@dataclass(frozen=True)
class Candidate:
    """A method in one setting: its students by seed."""

    setup: Setup
    rows: Mapping[int, MethodResult]

    @property
    def dev(self) -> float:
        """Mean score on dev."""
        return float(np.mean([row.dev.student for row in self.rows.values()]))

    @property
    def selection(self) -> float:
        """Mean score on selection."""
        return float(np.mean([row.selection.student for row in self.rows.values()]))


def optimism(evidence: Evidence) -> str:
    """Gains over fine-tuning that the best setting on dev would have claimed, beside those of settings chosen on selection."""
    body = []
    for dataset, layers in sorted({(row.dataset, _layers(row)) for row in evidence.students}, key=str):
        own = [row for row in evidence.students if (row.dataset, _layers(row)) == (dataset, layers)]
        base = _candidates(own, BASELINE)
        for method in dict.fromkeys(row.method for row in own):
            found = _candidates(own, method)
            if method != BASELINE and base and len(found) > 1:
                body.append(_line(f"{dataset}, {layers} layers", method, found, base))
    if not body:
        return ""
    said = (
        "The papers' protocol takes a method's best setting on dev, and a gain over the best fine-tuned student there is a "
        "claim. Ours takes the setting of both on selection, and a gain is a claim if its interval on dev is off zero. A row "
        "needs two settings or more of a method; settings of one size of student are compared. Epochs are chosen on selection "
        "by both: no curve on dev is kept.\n"
    )
    header = [
        "dataset",
        "method",
        "settings",
        "gain, best on dev",
        "gain, chosen on selection",
        "claimed and not there",
    ]
    return "\n".join(
        ["## Optimism: what choosing on dev would have claimed", "", said, markdown_table(Table(header, body, names=2))]
    )


def _candidates(rows: Sequence[MethodResult], method: str) -> list[Candidate]:
    by = grouped((row.setup, row) for row in rows if row.method == method)
    return [Candidate(setup, {row.seed: row for row in own}) for setup, own in by.items()]


def _line(dataset: str, method: str, found: Sequence[Candidate], base: Sequence[Candidate]) -> list[str]:
    claimed = max(one.dev for one in found) - max(one.dev for one in base)
    ours, theirs = (max(side, key=lambda one: one.selection) for side in (found, base))
    seeds = sorted(ours.rows.keys() & theirs.rows.keys())
    closed = gap_of([(ours.rows[seed], theirs.rows[seed]) for seed in seeds])
    if closed is None:
        return [dataset, method, str(len(found)), signed(claimed), MISSING, MISSING]
    verdict = "yes" if claimed > 0 and not is_above(closed.gain) else "no"
    return [dataset, method, str(len(found)), signed(claimed), interval_text(closed.gain), verdict]


def _layers(row: MethodResult) -> object:
    return budget_values(row.setup).get("student_layers")
