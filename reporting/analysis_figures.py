"""Pictures of the papers' analyses: MPDistil's Fig. 2 to 4 and its correlation, LGTM's Fig. 3 and 4."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reporting.analysis import Analysis, FollowedRow, Improvement, Trend
from reporting.drawing import COLOURS, MARKERS, SPARE_COLOURS, STYLE, png, shaded
from reporting.method_records import Records

TICK = 14
"""Characters per line of a name at an axis."""
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"


def draw_analysis(analysis: Analysis, records: Sequence[Records]) -> dict[str, bytes]:
    """'analysis-meta-teacher', '-rewards', '-curricula', '-improvements', and of each dataset of LGTM '-influence-NAME'."""
    with_curricula = [one for one in records if one.curricula]
    found: dict[str, bytes] = {}
    with style.context(STYLE):
        if with_curricula:
            found["analysis-meta-teacher"] = png(_meta_teacher(with_curricula))
            rewards = {r.name: [v for c in r.curricula.values() for v in c.rewards] for r in with_curricula}
            if any(rewards.values()):
                found["analysis-rewards"] = png(_rewards(rewards, with_curricula))
            if any(c.shares for r in with_curricula for c in r.curricula.values()):
                found["analysis-curricula"] = png(_curricula(with_curricula))
        if len(analysis.improvements) > 2:
            found["analysis-improvements"] = png(_improvements(analysis.improvements))
        for trend in analysis.trends:
            rows = [row for row in analysis.followed if row.dataset == trend.dataset]
            found[f"analysis-influence-{trend.dataset}"] = png(_influence(trend, rows))
    return found


def _meta_teacher(records: Sequence[Records]) -> Figure:
    """Fig. 2: distribution of the meta-teacher's selection loss over epochs and seeds, by its loss."""
    losses = sorted({one.loss for r in records for one in r.curricula.values()})
    figure = Figure(figsize=(1.8 + 1.1 * len(records), 3.2), layout="constrained")
    axes = figure.add_subplot()
    width = 0.7 / len(losses)
    for number, loss in enumerate(losses):
        values = [[v for c in r.curricula.values() if c.loss == loss for v in c.meta_teacher_losses] for r in records]
        places = np.arange(len(records)) + width * (number - (len(losses) - 1) / 2)
        _boxes(axes, values, places, width, SPARE_COLOURS[number])
        axes.plot([], [], color=SPARE_COLOURS[number], lw=5, label=loss)
    axes.set_xticks(range(len(records)), [r.name for r in records])
    axes.set_ylabel("loss on selection")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _rewards(rewards: Mapping[str, Sequence[float]], records: Sequence[Records]) -> Figure:
    """Fig. 3: distribution of the rewards of all steps, by dataset."""
    kinds = sorted({one.reward for r in records for one in r.curricula.values()})
    figure = Figure(figsize=(1.8 + 1.1 * len(rewards), 3.2), layout="constrained")
    axes = figure.add_subplot()
    _boxes(axes, list(rewards.values()), np.arange(len(rewards)), 0.5, COLOURS["mpdistil"])
    axes.axhline(0, color="#777777", lw=0.8)
    axes.set_xticks(range(len(rewards)), list(rewards))
    axes.set_ylabel(f"reward of a step ({', '.join(kinds)})")
    return figure


def _curricula(records: Sequence[Records]) -> Figure:
    """Fig. 4: share of each dataset in all of a target's curricula; similarity and distance of consecutive ones."""
    names = [r.name for r in records]
    actions = list(dict.fromkeys([*names, *(a for r in records for c in r.curricula.values() for a in c.shares)]))
    # The titles need their width with one dataset, too.
    width = max(7.5, 3.6 + 0.5 * len(actions) + 1.0 * len(names))
    figure = Figure(figsize=(width, 1.8 + 0.42 * max(3, len(names))), layout="constrained")
    first, second, third = figure.subplots(
        1, 3, width_ratios=[max(2, len(actions)), max(2, len(names)), max(2, len(names))]
    )
    shares = np.array(
        [[np.mean([c.shares.get(a, 0.0) for c in r.curricula.values()]) for a in actions] for r in records]
    )
    shaded(first, shares, [[f"{100 * share:.0f}" for share in row] for row in shares])
    first.set_xticks(range(len(actions)), _wrapped(actions), rotation=30, ha="right")
    first.set_yticks(range(len(names)), _wrapped(names))
    first.set_ylabel("target")
    first.set_title("(a) % of all steps", fontsize=9.5)
    for axes, what, name in (
        (second, "(b) similarity", "similarities"),
        (third, "(c) chi-square distance", "distances"),
    ):
        values = [[v for c in r.curricula.values() for v in getattr(c, name)] for r in records]
        _boxes(axes, values, np.arange(len(names)), 0.5, COLOURS["mpdistil"])
        axes.set_xticks(range(len(names)), _wrapped(names), rotation=30, ha="right")
        axes.set_title(f"{what} of\nconsecutive curricula", fontsize=9.5)
    return figure


def _wrapped(names: Sequence[str]) -> list[str]:
    """Wrap long names: unwrapped ones leave the panels no room."""
    return ["\n".join(textwrap.wrap(name, TICK)) for name in names]


def _boxes(axes: Axes, values: Sequence[Sequence[float]], places: np.ndarray, width: float, colour: str) -> None:
    """Boxes from the first to the third quartile, the median in them, whiskers to 1.5 times that, single dots beyond."""
    kept = [(list(own), place) for own, place in zip(values, places, strict=True) if len(own)]
    if kept:
        axes.boxplot(
            [own for own, _ in kept],
            positions=[float(place) for _, place in kept],
            widths=0.85 * width,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
            medianprops={"color": colour, "lw": 2},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "ms": 4, "markerfacecolor": colour, "markeredgecolor": "none", "alpha": 0.5},
        )


def _improvements(points: Sequence[Improvement]) -> Figure:
    """Meta-teacher over teacher on x, MPDistil's student over the fine-tuned one on y; a dot per dataset and seed."""
    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(dict.fromkeys(one.dataset for one in points)):
        own = [(one.meta_teacher, one.student) for one in points if one.dataset == name]
        colour, marker = SPARE_COLOURS[number % len(SPARE_COLOURS)], MARKERS[number % len(MARKERS)]
        axes.scatter(*zip(*own, strict=True), label=name, color=colour, marker=marker, s=30)
    axes.axhline(0, color="#777777", lw=0.8)
    axes.axvline(0, color="#777777", lw=0.8)
    axes.set_xlabel("meta-teacher minus teacher, points on dev")
    axes.set_ylabel("MPDistil's student minus\nfine-tuned student, points on dev")
    figure.legend(loc="outside right upper")
    return figure


def _influence(trend: Trend, rows: Sequence[FollowedRow]) -> Figure:
    """Two rows over time, influence above and predictions below (Fig. 3); averages of all rows, and the entropy gap (Fig. 4)."""
    figure = Figure(figsize=(3.1 * (len(rows) + 1), 4.2), layout="constrained")
    grid = figure.subplots(2, len(rows) + 1, squeeze=False, sharex=True)
    for column, row in enumerate(rows):
        _followed(grid[0][column], grid[1][column], row)
    above, below = grid[0][-1], grid[1][-1]
    last = max((row.over_time[-1].step for row in rows), default=0) + 1
    for values, colour, label in (
        (trend.positive, POSITIVE, "rows above 0"),
        (trend.negative, NEGATIVE, "rows below 0"),
    ):
        if values:
            above.plot(_middles(len(values), last), values, color=colour, lw=1.8, label=label)
    above.axhline(0, color="#777777", lw=0.8)
    above.set_title("all followed rows, mean", fontsize=9.5)
    above.legend()
    if trend.entropy_gap:
        below.plot(_middles(len(trend.entropy_gap), last), trend.entropy_gap, color=COLOURS["mpdistil"], lw=1.8)
        below.axhline(0, color="#777777", lw=0.8)
        below.set_ylabel("entropy gap, nats")
    else:
        below.set_visible(False)
    grid[0][0].set_ylabel("influence")
    for axes in grid[1]:
        axes.set_xlabel("update of the student")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    return figure


def _followed(above: Axes, below: Axes, row: FollowedRow) -> None:
    steps = [one.step for one in row.over_time]
    colour, teacher = POSITIVE if row.mean_influence > 0 else NEGATIVE, COLOURS["teacher"]
    above.plot(steps, [one.influence for one in row.over_time], color=colour, marker="o", ms=3)
    above.axhline(0, color="#777777", lw=0.8)
    above.set_title(f"train row {row.row}, mean {row.mean_influence:+.2g}".replace("-", "\N{MINUS SIGN}"), fontsize=9.5)
    values = [one.student for one in row.over_time], [one.teacher for one in row.over_time]
    below.plot(steps, values[0], color=COLOURS["mse_kd"], marker="o", ms=3, label="student")
    below.plot(steps, values[1], color=teacher, ls="--", marker="s", ms=3, label="teacher")
    below.set_ylabel("says of the truth")
    below.legend()


def _middles(parts: int, last: int) -> list[float]:
    """The middle step of each of equal parts."""
    return [(part + 0.5) * last / parts for part in range(parts)]
