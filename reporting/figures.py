"""The report's pictures, drawn by matplotlib as PNG bytes: margins, curves, rewards, actions."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kinds import LOWER_IS_BETTER
from records.trained import EpisodeRow
from reporting.drawing import COLOURS, DASHES, MARKERS, SPARE_COLOURS, STYLE, colours_of, moving_average, png, scale_of
from reporting.gather import DatasetOutputs
from reporting.small_multiples import action_shares, small_actions, small_curves, stepped
from reporting.statistics import Interval
from reporting.summarise import Margin, Summary
from reporting.wording import SHOWN_METHODS, on_dev_text

TOGETHER = 6
"""Number of series beyond which each gets a panel: colours and dashes would repeat."""


def draw_figures(summary: Summary, outputs: Sequence[DatasetOutputs]) -> dict[str, bytes]:
    """All pictures by name: 'margins', and 'curves-', 'rewards-', 'actions-' followed by a dataset."""
    found: dict[str, bytes] = {}
    with style.context(STYLE):
        scored = any(one.headline not in LOWER_IS_BETTER for one in summary.datasets)
        if scored and len(summary.methods) <= SHOWN_METHODS:  # more stand in the comparison's picture
            found["margins"] = png(_margins(summary))
        for one in outputs:
            if one.curves:
                many = len({series for series, _ in one.curves}) > TOGETHER
                found[f"curves-{one.name}"] = png((small_curves if many else _curves)(one, summary))
            if any(_rewarded(episodes) for episodes in one.episodes.values()):
                found[f"rewards-{one.name}"] = png(_rewards(one, summary))
            if any(stepped(episodes) for episodes in one.episodes.values()):
                names = [other.name for other in outputs]
                many = len(names) > len(SPARE_COLOURS)
                found[f"actions-{one.name}"] = png((small_actions if many else _actions)(one, names))
    return found


def _margins(summary: Summary) -> Figure:
    """A line per dataset: each student's margin with its interval; the teacher is zero."""
    rows: list[tuple[str, dict[str, Margin]]] = [
        (f"{one.name}\n{one.headline}, {one.dev_rows} rows", one.margins)
        for one in summary.datasets
        if one.headline not in LOWER_IS_BETTER
    ]
    if len(rows) > 1 and summary.average_margins:
        rows.append(("mean over\ndatasets", summary.average_margins))
    figure = Figure(figsize=(8.4, 0.9 + 0.62 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    step = 0.56 / max(1, len(summary.methods) - 1)
    colours = colours_of(summary.methods)
    for number, (method, marker) in enumerate(zip(summary.methods, cycle(MARKERS))):
        intervals = [margins[method].interval for _, margins in rows]
        middle = 100 * np.array([one.difference for one in intervals])
        # No bar where there are too few rows for an interval.
        ends = 100 * np.array([[_end(one.low, one), _end(one.high, one)] for one in intervals]).T
        height = np.arange(len(rows)) + step * (number - (len(summary.methods) - 1) / 2)
        errors = np.maximum(np.abs(ends - middle), 0)
        label, colour = summary.columns[method], colours[method]
        axes.errorbar(middle, height, xerr=errors, fmt=marker, color=colour, label=label, capsize=3, ms=5, lw=1.6)
    axes.axvline(0, color=COLOURS["teacher"], lw=1.2)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"points above or below the teacher (the line at 0){on_dev_text(summary.selected_on)}")
    figure.legend(loc="outside upper right", ncols=len(summary.methods))
    return figure


def _end(bound: float | None, interval: Interval) -> float:
    return interval.difference if bound is None else bound


def _curves(one: DatasetOutputs, summary: Summary) -> Figure:
    """Selection loss above, primary metric on selection below, by epoch; thin: each seed, thick: their mean."""
    metric = one.headline
    every = colours_of(list(dict.fromkeys(series for series, _ in one.curves)))
    figure, (above, below) = _two_panels(len(every))
    for series, colour in every.items():
        curves = [rows for (name, _), rows in one.curves.items() if name == series and rows]
        for axes, key, scale in ((above, "selection_loss", 1.0), (below, f"selection_{metric}", scale_of(metric))):
            lines = [np.array([(row["epoch"], row[key] * scale) for row in rows if key in row]) for rows in curves]
            _lines(axes, [line for line in lines if len(line)], series, summary.columns.get(series, series), colour)
            best = [
                (row["epoch"], row[key] * scale) for rows in curves for row in rows if row.get("best") and key in row
            ]
            _dots(axes, best, colour)
    above.set_ylabel(f"{summary.selected_on} loss")
    below.set_ylabel(f"{summary.selected_on} {metric}")
    below.set_xlabel("epoch")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, above)
    return figure


def _lines(axes: Axes, lines: Sequence[NDArray[np.float64]], series: str, label: str, colour: str) -> None:
    """Draw one series: thin lines (E, 2) per seed, and a thick mean over the epochs common to all."""
    if not lines:
        return
    if len(lines) > 1:
        for line in lines:
            axes.plot(line[:, 0], line[:, 1], color=colour, lw=0.6, alpha=0.4)
    length = min(len(line) for line in lines)
    mean = np.mean([line[:length, 1] for line in lines], axis=0)
    axes.plot(lines[0][:length, 0], mean, color=colour, ls=DASHES.get(series, "solid"), lw=1.8, label=label)


def _dots(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Mark the kept epoch or episode of each seed."""
    if points:
        axes.scatter(*zip(*points, strict=True), color=colour, s=22, edgecolors="white", linewidths=0.8, zorder=3)


def _rewards(one: DatasetOutputs, summary: Summary) -> Figure:
    """Mean reward of an episode above, selection loss below; thin: each seed, thick: moving average of their mean."""
    figure, (above, below) = _two_panels()
    values: dict[str, list[NDArray[np.float64]]] = {"reward": [], "loss": []}
    for episodes in one.episodes.values():
        values["reward"].append(np.array([(e.episode, e.reward) for e in _rewarded(episodes)], dtype=np.float64))
        losses = [(e.episode, e.selection["loss"]) for e in episodes if "loss" in e.selection]
        values["loss"].append(np.array(losses, dtype=np.float64))
    for axes, name, colour in ((above, "reward", COLOURS["mpdistil"]), (below, "loss", COLOURS["mse_kd"])):
        lines = [line for line in values[name] if len(line)]
        for line in lines:
            axes.plot(line[:, 0], line[:, 1], color=colour, lw=0.6, alpha=0.5)
        if name == "loss":
            kept = [e for episodes in one.episodes.values() for e in episodes if e.best and "loss" in e.selection]
            _dots(axes, [(e.episode, e.selection["loss"]) for e in kept], colour)
        if lines:
            length = min(len(line) for line in lines)
            mean = moving_average(np.mean([line[:length, 1] for line in lines], axis=0))
            axes.plot(lines[0][:length, 0], mean, color=colour, lw=2)
    above.axhline(0, color="#777777", lw=0.8)
    above.set_ylabel("mean reward")
    below.set_ylabel(f"{summary.selected_on} loss")
    below.set_xlabel("episode")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _actions(one: DatasetOutputs, names: Sequence[str]) -> Figure:
    """Share of each action over episodes, stacked to 1, the target at the bottom: mean over seeds, moving average."""
    colours = dict(zip(names, SPARE_COLOURS, strict=False))
    names = sorted(names, key=lambda name: name != one.name)
    numbers, smooth = action_shares(one, names)
    figure = Figure(figsize=(4.1, 3.3), layout="constrained")
    axes = figure.add_subplot()
    labels = [f"{name} (target)" if name == one.name else name for name in names]
    axes.stackplot(numbers, smooth, labels=labels, colors=[colours[name] for name in names])
    for line in np.cumsum(smooth, axis=0)[:-1]:
        axes.plot(numbers, line, color="white", lw=1.2)
    axes.axis((numbers[0], max(numbers[-1], numbers[0] + 1), 0, 1))
    axes.set_xlabel("episode")
    axes.set_ylabel("share of the steps")
    _legend(figure, axes)
    return figure


def _two_panels(series: int = 1) -> tuple[Figure, tuple[Axes, Axes]]:
    """Two panels of equal height, whatever space the legend takes."""
    figure = Figure(figsize=(4.1, 4.1 + 0.2 * -(-series // 2)), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    return figure, (above, below)


def _legend(figure: Figure, axes: Axes) -> None:
    """A legend above the panels, at most two entries per line."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=2, handlelength=2.4)


def _rewarded(episodes: Sequence[EpisodeRow]) -> list[EpisodeRow]:
    """Episodes with a reward: not those of `kd_only`, nor episode 0, which has no steps."""
    return [episode for episode in episodes if episode.reward is not None]
