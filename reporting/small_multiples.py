"""Pictures of many series: a small panel each on a common scale, because colours would repeat."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from records.trained import EpisodeRow
from reporting.drawing import COLOURS, moving_average, scale_of
from reporting.gather import DatasetOutputs
from reporting.summarise import Summary

COLUMNS = 6
INK, PALE = "#0072B2", "#c9c9c9"


def small_curves(one: DatasetOutputs, summary: Summary) -> Figure:
    """Primary metric on selection by epoch, a panel per series; all others are grey in each panel."""
    metric, key = one.headline, f"selection_{one.headline}"
    scale = scale_of(metric)
    every: dict[str, list[NDArray[np.float64]]] = {}
    for (series, _), rows in one.curves.items():
        line = np.array([(row["epoch"], row[key] * scale) for row in rows if key in row])
        every.setdefault(series, []).extend([line] if len(line) else [])
    figure, panels = _panels(len(every))
    for axes, series in zip(panels, every, strict=False):
        for line in (line for lines in every.values() for line in lines):
            axes.plot(line[:, 0], line[:, 1], color=PALE, lw=0.6)
        for line in every[series]:
            axes.plot(line[:, 0], line[:, 1], color=COLOURS["teacher"] if series == "teacher" else INK, lw=1.5)
        axes.set_title(series, fontsize=9)
    figure.supxlabel("epoch", fontsize=9.5)
    figure.supylabel(f"{summary.selected_on} {metric}", fontsize=9.5)
    return figure


def small_actions(one: DatasetOutputs, names: Sequence[str]) -> Figure:
    """Share of each action over episodes, the target first; the line is an even share."""
    names = sorted(names, key=lambda name: name != one.name)
    numbers, smooth = action_shares(one, names)
    figure, panels = _panels(len(names))
    for axes, name, line in zip(panels, names, smooth, strict=False):
        axes.axhline(1 / len(names), color="#999999", lw=0.8)
        axes.fill_between(numbers, line, color=COLOURS["mpdistil"] if name == one.name else INK, alpha=0.75, lw=0)
        axes.set_title(f"{name} (target)" if name == one.name else name, fontsize=9)
        axes.set_ylim(0, max(float(smooth.max()) * 1.05, 2 / len(names)))
    figure.supxlabel("episode", fontsize=9.5)
    figure.supylabel("share of the steps", fontsize=9.5)
    return figure


def action_shares(one: DatasetOutputs, names: Sequence[str]) -> tuple[list[int], NDArray[np.float64]]:
    """Numbers of the episodes (E,), and each action's share of the steps, mean over seeds and smoothed (A, E)."""
    kept = [stepped(episodes) for episodes in one.episodes.values()]
    length = min(len(episodes) for episodes in kept)
    shares = np.array([[[e.shares.get(name, 0.0) for e in episodes[:length]] for name in names] for episodes in kept])
    return [e.episode for e in kept[0][:length]], np.array([moving_average(line) for line in shares.mean(axis=0)])


def stepped(episodes: Sequence[EpisodeRow]) -> list[EpisodeRow]:
    """Episodes with steps: without episode 0."""
    return [episode for episode in episodes if episode.shares]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A grid of panels with common axes, at most COLUMNS wide."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(0.5 + 1.6 * columns, 0.5 + 1.35 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid:
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure, grid[:count]
