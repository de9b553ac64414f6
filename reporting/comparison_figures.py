"""Pictures of a comparison: margins with intervals, average ranks with the critical difference, time against margin."""

from collections.abc import Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kinds import LOWER_IS_BETTER
from reporting.comparison import Comparison
from reporting.drawing import COLOURS, STYLE, png
from reporting.margins import Margin
from reporting.ranking import Ranking
from reporting.wording import interval_text, on_dev_text

COLUMNS = 3
NARROWEST = 6.0
"""Inches for the label below."""
SHEET = 9.0
"""Maximum height of a picture in inches."""
INK, BASELINE, BAR = "#0072B2", "#D55E00", "#4d4d4d"


def draw_comparison(comparison: Comparison) -> dict[str, bytes]:
    """'comparison-margins', and if defined 'comparison-ranks' and 'comparison-time', as PNG bytes."""
    found: dict[str, bytes] = {}
    with style.context(STYLE):
        if panels := _panels(comparison):
            order = _order(comparison, panels)
            for number, part in enumerate(_pictures(panels, len(order)), 1):
                name = "comparison-margins" if number == 1 else f"comparison-margins-{number}"
                found[name] = png(_margins(comparison, part, order))
        if comparison.ranking.average and comparison.ranking.critical_difference is not None:
            datasets = len(comparison.datasets)
            ranks = ranks_figure(comparison.ranking, datasets, comparison.baseline, comparison.level)
            found["comparison-ranks"] = png(ranks)
        if points := _times(comparison):
            found["comparison-time"] = png(_time(comparison, points))
    return found


def _panels(comparison: Comparison) -> list[tuple[str, dict[str, Margin]]]:
    """(title, margins by method) for every dataset whose metric is a score, and for their mean."""
    panels = [
        (
            f"{name}\n{metric}, {comparison.dev_rows[name]} rows",
            {line.method: line.cells[name].margin for line in comparison.lines if name in line.cells},
        )
        for name, metric in comparison.datasets.items()
        if metric not in LOWER_IS_BETTER
    ]
    averages = {line.method: line.average for line in comparison.lines if line.average is not None}
    return [*panels, ("mean over\ndatasets", averages)] if len(panels) > 1 and averages else panels


def _pictures(
    panels: Sequence[tuple[str, dict[str, Margin]]], lines: int
) -> list[Sequence[tuple[str, dict[str, Margin]]]]:
    """Split the panels of a picture into several, none higher than a sheet of paper."""
    rows = max(1, int(SHEET / _height(lines)))
    size = COLUMNS * rows
    return [panels[start : start + size] for start in range(0, len(panels), size)]


def _height(lines: int) -> float:
    """Height of a panel in inches."""
    return 1.0 + 0.24 * lines


def _margins(comparison: Comparison, panels: Sequence[tuple[str, dict[str, Margin]]], order: Sequence[str]) -> Figure:
    """A panel per dataset, a line per method, in the order of the mean margin; the teacher is the line at 0."""
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(max(NARROWEST, 2.0 + 2.6 * columns), rows * _height(len(order)) + 0.3), layout="constrained"
    )
    grid = np.atleast_2d(figure.subplots(rows, columns, sharey=True, squeeze=False))
    for axes, (title, margins) in zip(grid.flat, panels, strict=False):
        _panel(axes, order, margins, comparison.baseline)
        axes.set_title(title, fontsize=9.5)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel(
        f"points above or below the teacher, {100 * comparison.level:g} % intervals over {interval_text(comparison.seeds)}{on_dev_text(comparison.selected_on)}",
        fontsize=9.5,
    )
    return figure


def _order(comparison: Comparison, panels: Sequence[tuple[str, dict[str, Margin]]]) -> list[str]:
    """Methods from the highest mean margin to the lowest; those with gaps by the datasets they have."""

    def height(method: str) -> float:
        own = [margins[method].interval.difference for _, margins in panels if method in margins]
        return float(np.mean(own)) if own else -np.inf

    return sorted((line.method for line in comparison.lines), key=height, reverse=True)


def _panel(axes: Axes, order: Sequence[str], margins: dict[str, Margin], baseline: str) -> None:
    axes.axvline(0, color=COLOURS["teacher"], lw=1.2)
    for place, method in enumerate(order):
        if method not in margins:
            axes.text(
                0.5, place, "\N{EN DASH}", transform=axes.get_yaxis_transform(), ha="center", va="center", color=BAR
            )
            continue
        one = margins[method].interval
        colour = BASELINE if method == baseline else INK
        if one.low is not None and one.high is not None:
            axes.plot([100 * one.low, 100 * one.high], [place, place], color=colour, lw=1.6)
        axes.plot(100 * one.difference, place, marker="o" if method != baseline else "D", color=colour, ms=5)
    names = [f"{name} (baseline)" if name == baseline else name for name in order]
    axes.set_yticks(range(len(order)), names)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.grid(False, axis="y")


def ranks_figure(ranking: Ranking, datasets: int, baseline: str, level: float) -> Figure:
    """Demsar's diagram, rotated: a dot at each average rank, bars beside groups that don't differ significantly."""
    order = sorted(ranking.average, key=lambda name: ranking.average[name])
    values = [ranking.average[name] for name in order]
    # Nemenyi's difference has a meaning only where Friedman's test finds one: else all belong together.
    differ = ranking.test is not None and ranking.test.p < 1 - level
    groups = groups_within(values, ranking.critical_difference or 0.0) if differ else [(0, len(values) - 1)]
    figure = Figure(figsize=(7.2, 1.2 + 0.27 * len(order)), layout="constrained")
    axes = figure.add_subplot()
    for place, (name, value) in enumerate(zip(order, values, strict=True)):
        colour = BASELINE if name == baseline else INK
        axes.plot(value, place, marker="o", color=colour, ms=6)
    for number, (first, last) in enumerate(groups):
        x = len(order) + 0.45 + 0.35 * number
        axes.plot([x, x], [first - 0.25, last + 0.25], color=BAR, lw=4, solid_capstyle="butt")
    axes.set_yticks(range(len(order)), [f"{name}  {value:.1f}" for name, value in zip(order, values, strict=True)])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0.8, len(order) + 0.9 + 0.35 * len(groups))
    axes.set_xticks(range(1, len(order) + 1))
    axes.set_xlabel(
        f"average rank over {datasets} datasets (1 is best); methods beside one bar are not told apart\n"
        f"(Nemenyi, {100 * level:g} %, critical difference {ranking.critical_difference or 0.0:.2f})"
    )
    return figure


def groups_within(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """First and last position of each longest run of sorted ranks within the critical difference."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(
            place for place in range(first, len(ranks)) if ranks[place] - ranks[first] < difference or place == first
        )
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _times(comparison: Comparison) -> list[tuple[str, float, float]]:
    """(method, CPU seconds, mean margin in points) for methods with both on every dataset."""
    return [
        (line.method, line.effort.cpu_s, 100 * line.average.interval.difference)
        for line in comparison.lines
        if line.effort is not None and line.effort.cpu_s > 0 and line.average is not None
    ]


def _time(comparison: Comparison, points: Sequence[tuple[str, float, float]]) -> Figure:
    """Training time on x, mean margin on y; names stand in their own column, so that none covers another."""
    figure = Figure(figsize=(7.2, max(3.2, 0.9 + 0.27 * len(points))), layout="constrained")
    axes = figure.add_subplot()
    heights = np.array([height for _, _, height in points])
    low, high = heights.min(), heights.max()
    room = max(high - low, 1.0)
    order = sorted(points, key=lambda point: -point[2])
    spread = np.linspace(high + 0.06 * room, low - 0.06 * room, len(order)) if len(order) > 1 else [high]
    for (method, seconds, height), level in zip(order, spread, strict=True):
        colour = BASELINE if method == comparison.baseline else INK
        axes.plot(seconds, height, marker="o", color=colour, ms=6, zorder=3)
        axes.annotate(
            f"{method}  {height:+.1f}".replace("-", "\N{MINUS SIGN}"),
            (seconds, height),
            xytext=(1.03, level),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#c4c4c4", "lw": 0.7, "shrinkB": 4},
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low - 0.12 * room, high + 0.12 * room)
    axes.set_xlabel("CPU seconds of training, mean over datasets and seeds (log scale)")
    axes.set_ylabel("mean margin to the teacher, points")
    return figure
