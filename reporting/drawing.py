"""Drawing code shared by all figures of the report: colours, style, scale, smoothing, PNG output."""

import io
from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kinds import LOWER_IS_BETTER

DPI = 150
# Okabe and Ito's colours, told apart with any colour vision; each series has its own dash or marker as well.
COLOURS = {"teacher": "#4d4d4d", "finetune": "#D55E00", "mse_kd": "#0072B2", "mpdistil": "#009E73"}
SPARE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#4d4d4d", "#B8A800")
DASHES = {"teacher": (0, (4, 2)), "finetune": (0, (1.5, 1)), "mse_kd": "solid"}
MARKERS = ("o", "s", "D", "^", "v", "P")
STYLE = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a class may be called $5-$10
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "axes.edgecolor": "#777777",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
}


def smoothing(episodes: int) -> int:
    """Width of the pictures' moving average in episodes."""
    return max(1, episodes // 10)


def png(figure: Figure) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    # Without the library's version in it, the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def colours_of(series: Sequence[str]) -> dict[str, str]:
    """A colour for each series: its own if it has one, else a spare one; unique among the first eight."""
    own = {name: COLOURS[name] for name in series if name in COLOURS}
    spare = cycle([colour for colour in SPARE_COLOURS if colour not in own.values()])
    return {name: own.get(name) or next(spare) for name in series}


def moving_average(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trailing mean over `smoothing` episodes (E,) -> (E,); shorter at the start."""
    window = smoothing(len(values))
    sums = np.cumsum(np.concatenate([np.zeros(1), values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def shaded(axes: Axes, shares: NDArray[np.float64], texts: Sequence[Sequence[str]], size: float | None = None) -> None:
    """Texts on cells that are shaded by shares from 0 to 1, both (R, C)."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else "#222222"
        axes.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=size)


def scale_of(metric: str) -> float:
    """100 for scores, shown in points; 1 for losses."""
    return 1.0 if metric in LOWER_IS_BETTER else 100.0
