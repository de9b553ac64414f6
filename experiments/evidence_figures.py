"""Pictures of the page of evidence: gap closed by method, ranks, quality against latency, shares of a curriculum."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from config.methods import BASELINE, CURRICULUM
from experiments.evidence_rows import LEVEL, Evidence, curve_of
from experiments.gap import GapClosed
from experiments.method_runs import MethodResult
from experiments.result_rows import Setup
from experiments.results import MISSING
from reporting.comparison_figures import ranks_figure
from reporting.drawing import COLOURS, MARKERS, STYLE, colours_of, moving_average, png
from reporting.ranking import rank_methods
from reporting.tables import grouped

COLUMNS = 3
LIMITS = (-1.0, 2.0)
"""Shares of the gap that a panel shows; an interval goes on beyond them by an arrow."""
INK = "#0072B2"
SHARE = "share_"


def draw_evidence(evidence: Evidence) -> dict[str, bytes]:
    """Name -> PNG: 'gap' and 'ranks' of the setting with most students, 'latency', and 'shares' where a curriculum ran."""
    found: dict[str, bytes] = {}
    if not evidence.students:
        return found
    setup = max(evidence.setups, key=lambda one: sum(row.setup == one for row in evidence.students))
    with style.context(STYLE):
        if panels := _gaps(evidence, setup):
            found["gap"] = png(_gap(evidence, setup, panels))
        if (figure := _ranks(evidence, setup)) is not None:
            found["ranks"] = png(figure)
        if timed := [row for row in evidence.students if row.latency_ms is not None]:
            found["latency"] = png(_latency(timed))
        if curricula := _curricula(evidence):
            found["shares"] = png(_shares(curricula))
    return found


def _gaps(evidence: Evidence, setup: Setup) -> dict[str, dict[str, GapClosed]]:
    """Dataset -> method -> what it closes, where there is a gap."""
    found: dict[str, dict[str, GapClosed]] = {}
    for dataset in evidence.datasets(setup):
        for method in evidence.methods(setup):
            closed = evidence.gap(setup, dataset, method) if method != BASELINE else None
            if closed is not None and closed.share is not None:
                found.setdefault(dataset, {})[method] = closed
    return found


def _gap(evidence: Evidence, setup: Setup, panels: Mapping[str, Mapping[str, GapClosed]]) -> Figure:
    """A panel a dataset, a line a method; 0 is the fine-tuned student, 1 its teacher."""
    methods = [name for name in evidence.methods(setup) if any(name in panel for panel in panels.values())]
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (2.0 + 2.9 * columns, 0.6 + rows * (1.1 + 0.3 * len(methods)))
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes, (dataset, closed) in zip(grid, panels.items(), strict=False):
        _panel(axes, methods, closed)
        gap = next(iter(closed.values())).gap
        axes.set_title(f"{dataset}: gap {100 * gap.difference:.1f} points, {gap.rows:,} rows", fontsize=9.5)
    _hide(figure, grid, len(panels), columns)
    seeds = sorted({one.gain.seeds for panel in panels.values() for one in panel.values()})
    told = f"{seeds[0]} seed{'s' * (seeds[0] > 1)}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    figure.supxlabel(
        f"share of the gap closed on dev (0 %: fine-tuned, 100 %: teacher), {100 * LEVEL:g} % intervals, {told}",
        fontsize=9.5,
    )
    return figure


def _panel(axes: Axes, methods: Sequence[str], closed: Mapping[str, GapClosed]) -> None:
    for place, colour, dash in ((0.0, COLOURS["finetune"], "-"), (0.5, "#999999", ":"), (1.0, COLOURS["teacher"], "-")):
        axes.axvline(place, color=colour, lw=1.1, ls=dash)
    for place, method in enumerate(methods):
        one = closed.get(method)
        if one is None or one.share is None:
            axes.text(0.5, place, MISSING, transform=axes.get_yaxis_transform(), ha="center", va="center")
            continue
        low, high = (one.low, one.high) if one.low is not None and one.high is not None else LIMITS
        axes.plot([max(low, LIMITS[0]), min(high, LIMITS[1])], [place, place], color=INK, lw=1.6)
        for end, beyond, marker in ((LIMITS[0], low < LIMITS[0], "<"), (LIMITS[1], high > LIMITS[1], ">")):
            if beyond:
                axes.plot(end, place, marker=marker, color=INK, ms=5, clip_on=False)
        if LIMITS[0] <= one.share <= LIMITS[1]:
            axes.plot(one.share, place, marker="o", color=INK, ms=6)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(*LIMITS)
    axes.set_xticks(np.arange(LIMITS[0], LIMITS[1] + 0.5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(False, axis="y")


def _ranks(evidence: Evidence, setup: Setup) -> Figure | None:
    """The critical-difference diagram of the methods that all datasets have; None where there can be no test."""
    whole = evidence.datasets(setup)
    methods = [one for one in evidence.methods(setup) if all(evidence.of(setup, name, one) for name in whole)]
    scores = {
        method: [
            float(np.mean([row.dev.student for row in evidence.of(setup, name, method).values()])) for name in whole
        ]
        for method in methods
    }
    ranking = rank_methods(scores, whole, BASELINE, LEVEL) if whole and methods else None
    if ranking is None or ranking.critical_difference is None:
        return None
    return ranks_figure(ranking, len(whole), BASELINE, LEVEL)


def _latency(rows: Sequence[MethodResult]) -> Figure:
    """A panel a dataset: median latency to the right, the score on dev up, means over seeds; a mark a method and setting."""
    datasets = sorted({row.dataset for row in rows})
    methods = sorted({row.method for row in rows}, key=lambda name: name != BASELINE)
    colours, columns = colours_of(methods), min(COLUMNS, len(datasets))
    lines = -(-len(datasets) // columns)
    figure = Figure(figsize=(2.4 + 2.5 * columns, 0.6 + 2.3 * lines), layout="constrained")
    grid = list(figure.subplots(lines, columns, sharex=True, squeeze=False).flat)
    shown: dict[str, Line2D] = {}
    for axes, dataset in zip(grid, datasets, strict=False):
        own = [row for row in rows if row.dataset == dataset]
        teacher = [(row.latency_ms.teacher, row.dev.teacher) for row in own if row.latency_ms is not None]
        shown["teacher"] = axes.plot(*np.mean(teacher, axis=0), marker="*", ms=12, color=COLOURS["teacher"], ls="")[0]
        by = grouped(((row.method, row.budget), row) for row in own)
        for (method, _), students in by.items():
            points = [(row.latency_ms.student, row.dev.student) for row in students if row.latency_ms is not None]
            marker = MARKERS[methods.index(method) % len(MARKERS)]
            shown[method] = axes.plot(*np.mean(points, axis=0), marker=marker, ms=6, color=colours[method], ls="")[0]
        axes.set_title(f"{dataset}, {own[0].metric}", fontsize=9.5)
        axes.set_xlim(0, 1.06 * max(row.latency_ms.teacher for row in rows if row.latency_ms is not None))
    _hide(figure, grid, len(datasets), columns)
    figure.supxlabel("median latency of one row, ms", fontsize=9.5)
    figure.supylabel("on dev, points", fontsize=9.5)
    figure.legend(shown.values(), shown.keys(), loc="outside right upper")
    return figure


def _hide(figure: Figure, grid: Sequence[Axes], count: int, columns: int) -> None:
    """Hide the panels that are not used; the ones above them get the labels of their axis."""
    for place, axes in enumerate(grid):
        axes.set_visible(place < count)
        if place < count <= place + columns:
            axes.xaxis.set_tick_params(labelbottom=True)


def _curricula(evidence: Evidence) -> dict[str, list[list[Mapping[str, float]]]]:
    """Dataset -> the episodes of each seed."""
    found: dict[str, list[list[Mapping[str, float]]]] = {}
    for row in evidence.students:
        episodes = [one for one in curve_of(row) if any(key.startswith(SHARE) for key in one)]
        if row.method.partition("-")[0] == CURRICULUM and episodes:
            found.setdefault(row.dataset, []).append(episodes)
    return found


def _shares(curricula: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Share of each action over episodes, mean over seeds, smoothed; a panel a target."""
    figure = Figure(figsize=(7.2, 0.6 + 2.0 * len(curricula)), layout="constrained")
    panels = figure.subplots(len(curricula), 1, squeeze=False)[:, 0]
    names = sorted({key for seeds in curricula.values() for one in seeds[0] for key in one if key.startswith(SHARE)})
    colours = colours_of(names)
    for axes, (dataset, seeds) in zip(panels, curricula.items(), strict=True):
        length = min(len(episodes) for episodes in seeds)
        for name in names:
            shares = np.array([[episode.get(name, 0.0) for episode in one[:length]] for one in seeds])
            line = moving_average(shares.mean(axis=0))
            axes.plot(range(1, length + 1), line, color=colours[name], label=name.removeprefix(SHARE))
        axes.set_title(f"target {dataset}, {len(seeds)} seed{'s' * (len(seeds) > 1)}", fontsize=9.5)
        axes.set_ylim(0, None)
    panels[-1].set_xlabel("episode")
    figure.supylabel("share of the steps", fontsize=9.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
