"""Measuring for `make bench`: CPU seconds of interleaved variants, peak bytes of tensors, and a row of its table.

Machines differ and are shared, so no absolute figure has a target: a row's target is for a ratio of two variants that
were run in turn in one process. Time is the CPU's (`time.process_time`) at one thread. Memory is the sum of the tensors'
bytes, as torch's profiler reports every allocation and release: the same on every machine, unlike resident pages.
"""

import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from reporting.tables import aligned

Step = Callable[[], object]


@dataclass(frozen=True)
class Measurement:
    """One line of the table: `value` is ours, `floor` the reference, `ratio` their quotient."""

    name: str
    value: float
    unit: str
    floor: float
    ratio: float
    target: float | None
    """The largest ratio allowed; None: shown only."""
    ok: bool
    spread: tuple[float, float] | None = None
    """Smallest and largest ratio of the repetitions."""

    def to_json(self) -> dict[str, str | float | bool | None]:
        """The row as outputs/bench.json holds it."""
        return {name: value for name, value in asdict(self).items() if name != "spread"}


def row_of(name: str, unit: str, values: Sequence[float], floors: Sequence[float], target: float | None) -> Measurement:
    """A row from paired repetitions: its ratio is the median of the pairs' ratios."""
    ratios = [value / floor for value, floor in zip(values, floors, strict=True)]
    ratio = statistics.median(ratios)
    return Measurement(
        name,
        statistics.median(values),
        unit,
        statistics.median(floors),
        ratio,
        target,
        ok=target is None or ratio <= target,
        spread=(min(ratios), max(ratios)) if len(ratios) > 1 else None,
    )


def limit_row(name: str, unit: str, values: Sequence[float], limit: float) -> Measurement:
    """A row with an absolute target: the median of the values, at most `limit`."""
    row = row_of(name, unit, values, [limit] * len(values), 1.0)
    return replace(row, target=limit)


def at_least_row(name: str, unit: str, values: Sequence[float], least: float) -> Measurement:
    """A row with an absolute target: the median of the values, at least the given bound."""
    row = row_of(name, unit, values, [1.0] * len(values), None)
    return replace(row, target=least, ok=row.value >= least)


def cpu_seconds(variants: Mapping[str, Step], repetitions: int) -> dict[str, list[float]]:
    """CPU seconds of one step of every variant, interleaved, after a warm-up round."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for repetition in range(repetitions + 1):
        for name, step in variants.items():
            seconds = seconds_of(step)
            if repetition:
                found[name].append(seconds)
    return found


def seconds_of(step: Step) -> float:
    """CPU seconds of one call."""
    before = time.process_time()
    step()
    return time.process_time() - before


def children_seconds() -> float:
    """CPU seconds that ended child processes have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def added_peak_bytes(step: Step) -> int:
    """Peak tensor memory of a step beyond the memory in use before it.

    Run the step once before, so that the optimiser's state is there already.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells when it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        watched.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]"]
    now = peak = 0
    for _, change in sorted(changes, key=lambda one: one[0]):
        now += change
        peak = max(peak, now)
    return peak


def table(rows: Sequence[Measurement]) -> str:
    """The row as printed."""
    head = ("name", "ours", "against", "unit", "ratio", "lowest-highest", "target", "")
    return "\n".join(aligned([head, *map(_cells, rows)]))


def _cells(row: Measurement) -> tuple[str, ...]:
    low, high = row.spread or (row.ratio, row.ratio)
    wanted = "-" if row.target is None else f"{row.target:.2f}"
    said = "" if row.target is None else "ok" if row.ok else "MISSED"
    return (
        row.name,
        f"{row.value:.3f}",
        f"{row.floor:.3f}",
        row.unit,
        f"{row.ratio:.2f}",
        f"{low:.2f}-{high:.2f}",
        wanted,
        said,
    )
