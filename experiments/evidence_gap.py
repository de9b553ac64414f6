"""The section of a page of evidence on one setting: the gap that each method closes, and a sentence for each dataset."""

from collections.abc import Sequence

from config.methods import BASELINE
from experiments.evidence_rows import Evidence, budget_values, start_text
from experiments.gap import GapClosed, rows_needed
from experiments.method_runs import MethodResult
from experiments.result_rows import Setup
from experiments.results import MISSING, spread_text
from reporting.statistics import Interval
from reporting.tables import Table, markdown_table


def gap_section(evidence: Evidence, setup: Setup) -> str:
    """The gap that each method closes under one budget, and a sentence for each dataset."""
    body, sentences = [], []
    for dataset in evidence.datasets(setup):
        found: dict[str, GapClosed] = {}
        for method in evidence.methods(setup):
            own = list(evidence.of(setup, dataset, method).values())
            closed = evidence.gap(setup, dataset, method) if method != BASELINE else None
            if closed is not None:
                found[method] = closed
            body += [_line(dataset, method, own, closed)] if own else []
        sentences.append(f"- {sentence(dataset, found)}")
    header = [
        *("dataset", "method", "seeds", "student", "teacher", "above fine-tuned", "share closed"),
        *("labelled rows", "of other datasets", "updates", "settings tried"),
    ]
    heading = f"## Gap closed: {start_text(setup)}"
    budget = f"Profile {setup.profile}, selected on {setup.selected_on}; {budget_text(setup)}.\n"
    return "\n".join([heading, "", budget, markdown_table(Table(header, body, names=2)), *sentences, ""])


def _line(dataset: str, method: str, own: Sequence[MethodResult], closed: GapClosed | None) -> list[str]:
    return [
        f"{dataset} ({own[0].metric})",
        method,
        str(len(own)),
        spread_text([row.dev.student for row in own], "{:.1f}"),
        spread_text([row.dev.teacher for row in own], "{:.1f}"),
        MISSING if closed is None else interval_text(closed.gain),
        MISSING if closed is None else share_text(closed),
        _counts([row.train_rows for row in own]),
        _counts([row.other_rows for row in own]),
        _counts([row.updates.student for row in own]),
        _counts([float(row.points) for row in own]),
    ]


def _counts(values: Sequence[float | None]) -> str:
    known = sorted({value for value in values if value is not None})
    return " to ".join(f"{value:,.0f}" for value in dict.fromkeys([known[0], known[-1]])) if known else MISSING


def interval_text(one: Interval) -> str:
    """'+1.2 [−0.3, +2.7]' in points."""
    ends = [] if one.low is None or one.high is None else [one.low, one.high]
    inside = ", ".join(signed(100 * end) for end in ends) or "too few rows"
    return f"{signed(100 * one.difference)} [{inside}]"


def share_text(closed: GapClosed) -> str:
    """'0.45 [0.10, 0.83]', or why there is none."""
    if closed.share is None:
        return f"no gap: {interval_text(closed.gap)}"
    if closed.low is None or closed.high is None:
        return f"{closed.share:.2f}, no interval: the gap is too near 0".replace("-", "\N{MINUS SIGN}")
    return f"{closed.share:.2f} [{closed.low:.2f}, {closed.high:.2f}]".replace("-", "\N{MINUS SIGN}")


def budget_text(setup: Setup) -> str:
    """The budget in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in budget_values(setup).items())


def signed(value: float) -> str:
    """'+1.2'."""
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def sentence(dataset: str, found: dict[str, GapClosed]) -> str:
    """Finding of the rows on a dataset, with the rows that would be needed where it is nothing."""
    gaps = [one for one in found.values() if one.has_gap]
    if not found:
        return f"{dataset}: no method was measured beside the fine-tuned student."
    if not gaps:
        gap = next(iter(found.values())).gap
        needed = rows_needed(gap)
        more = f"; about {needed:,} dev rows would be needed to tell them apart" if needed else ""
        return (
            f"{dataset}: no gap to close: the teacher is not told from the fine-tuned student "
            f"({interval_text(gap)} points{more}), so no method is shown to close half of it."
        )
    half = [name for name, one in found.items() if one.closes_half]
    if half:
        return f"{dataset}: half of the gap or more, with a gain off zero, is closed by {', '.join(half)}."
    name, best = max(found.items(), key=lambda item: item[1].gain.difference)
    text = f"{dataset}: none closes half of the gap with a gain off zero; the most is {name}'s {share_text(best)}"
    needed = best.rows_needed
    if needed is None:
        return f"{text}: no gain, so no number of rows would show one."
    if needed == best.gain.rows:
        return f"{text}."
    return f"{text}. If its gain of {interval_text(best.gain)} points is real, about {needed:,} dev rows would be needed to show it."
