"""Pictures of what is lost: reliability of teacher and student, and confusion matrices with readable names."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from reporting.classes import class_name
from reporting.drawing import COLOURS, STYLE, png, shaded
from reporting.gather import DatasetOutputs
from reporting.shipping import Shipping
from reporting.wording import label_text

SIDE_BY_SIDE = 8
"""Number of classes beyond which the teacher's matrix stands above the student's."""
SHORT = 12
"""Maximum characters of class names on the axes, if there are few."""
FEW = 3
CELL = 0.42
"""Inches."""
LINE = 0.19
"""Height of a legend line in inches."""
INK = "#009E73"


def draw_shipping(outputs: Sequence[DatasetOutputs], shipped: Mapping[str, Sequence[Shipping]]) -> dict[str, bytes]:
    """'reliability-' and 'confusion-' followed by dataset and method."""
    found: dict[str, bytes] = {}
    with style.context(STYLE):
        for one in outputs:
            for part in shipped[one.name]:
                if part.calibration:
                    found[f"reliability-{one.name}-{part.method}"] = png(_reliability(part))
                    found[f"confusion-{one.name}-{part.method}"] = png(confusion(one, part.method, part.seed))
    return found


def _reliability(part: Shipping) -> Figure:
    """Accuracy against mean confidence, a mark per bin with its interval; the diagonal is perfect."""
    figure = Figure(figsize=(4.1, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="#999999", lw=1)
    lowest = 100.0
    for who, colour, marker, move in (("teacher", COLOURS["teacher"], "s", -0.4), ("student", INK, "o", 0.4)):
        bins = part.calibration[who].bins
        sure = 100 * np.array([one.confidence for one in bins]) + move
        right = 100 * np.array([one.right.difference for one in bins])
        ends = 100 * np.array([[one.right.low or 0.0, one.right.high or 1.0] for one in bins]).T
        axes.errorbar(
            sure, right, yerr=np.abs(ends - right), fmt=marker, color=colour, ms=5, lw=1.2, capsize=2, label=who
        )
        lowest = min(lowest, float(sure.min()), float(ends.min()))
    start = max(0.0, 10 * np.floor(lowest / 10))
    axes.axis((start, 101, start, 102))
    axes.set_xlabel(f"how sure it is, %{label_text(part.measured.selected_on)}")
    axes.set_ylabel("how often it is right, %")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def confusion(one: DatasetOutputs, method: str, seed: int) -> Figure:
    """Dev rows by label and prediction, for teacher and student; long names become numbers with a legend."""
    rows = one.dev(method, seed)
    classes = rows.student.shape[1]
    names = [class_name(one.label_names, number) for number in range(classes)]
    numbered = classes > FEW or max(map(len, names)) > SHORT
    beside = classes <= SIDE_BY_SIDE
    side = max(CELL * classes, 1.5)
    width = 2 * side + 1.6 if beside else side + 1.2
    legend = _legend_lines(names, width) if numbered else []
    height = (side + 1.0) * (1 if beside else 2) + LINE * len(legend)
    figure = Figure(figsize=(width, height), layout="constrained")
    below = LINE * len(legend) / height
    panels = figure.subplots(1, 2, sharey=True) if beside else figure.subplots(2, 1)
    for axes, who, logits in zip(panels, ("teacher", method), (rows.teacher, rows.student), strict=True):
        _matrix(axes, _counts(rows.labels.astype(np.int64), logits.argmax(axis=1), classes))
        ticks = [str(number + 1) for number in range(classes)] if numbered else names
        axes.set_xticks(range(classes), ticks, rotation=0 if numbered or max(map(len, names)) < 7 else 30)
        axes.set_title(who, fontsize=9.5)
        axes.set_xlabel(f"predicted{label_text(one.evaluations[method, seed].metrics.selected_on)}")
        axes.set_yticks(range(classes), ticks)
    for axes in panels if not beside else panels[:1]:
        axes.set_ylabel("actual")
    if legend:
        figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, below, 1, 1 - below)))
        figure.text(0.02, below, "\n".join(legend), va="top", ha="left", fontsize=8.5, linespacing=1.25)
    return figure


def _legend_lines(names: Sequence[str], width: float) -> list[str]:
    """'1 name, 2 name, ...' wrapped to a picture's width in inches."""
    # A name is not broken inside.
    text = "   ".join(f"{number} {name}".replace(" ", "\N{NO-BREAK SPACE}") for number, name in enumerate(names, 1))
    return textwrap.wrap(text, width=int(width * 12.5), break_long_words=True)


def _counts(labels: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def _matrix(axes: Axes, counts: NDArray[np.int64]) -> None:
    """Counts (C, C) as numbers on cells shaded by their share of the row; a 0 off the diagonal stays empty."""
    texts = [
        [str(count) if count or row == column else "" for column, count in enumerate(own)]
        for row, own in enumerate(counts)
    ]
    shaded(axes, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), texts, 8.5)
