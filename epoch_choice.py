"""Rule that compares epochs (or episodes) by their scores on selection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kinds import LOWER_IS_BETTER

SelectedBy = Literal["loss", "metric", "metric_then_loss"]


@dataclass(frozen=True)
class SelectionRule:
    """The rule that chooses an epoch; the kept one is better than all before it, so ties go to the earliest.

    `metric_then_loss` settles a tie in the metric by the loss, and only a tie in both goes to the earliest.
    """

    by: SelectedBy = "loss"
    metric: str = ""
    """The primary metric; unused if the loss alone chooses."""

    def is_better(self, scores: Mapping[str, float], than: Mapping[str, float]) -> bool:
        """Return whether scores ("loss" and metrics) are better than the best ones so far."""
        return self._rank(scores) > self._rank(than)

    def _rank(self, scores: Mapping[str, float]) -> tuple[float, ...]:
        if self.by == "loss":
            return (-scores["loss"],)
        metric = -scores[self.metric] if self.metric in LOWER_IS_BETTER else scores[self.metric]
        return (metric,) if self.by == "metric" else (metric, -scores["loss"])

    def best(self, scores: Mapping[int, Mapping[str, float]]) -> int:
        """The key of the best scores, such as a seed; the first if several are equal."""
        return max(scores, key=lambda key: self._rank(scores[key]))


BY_LOSS = SelectionRule()
IN_WORDS: Mapping[SelectedBy, str] = {
    "loss": "the mean task loss",
    "metric": "the primary metric (ties: the earliest)",
    "metric_then_loss": "the primary metric (ties: the lower mean task loss)",
}
"""The rule in words, for report and model card: 'Epochs and episodes were chosen by ...'."""


def of_row(row: Mapping[str, object]) -> dict[str, float]:
    """The selection scores of a row of curves, by their own names."""
    found = {name.removeprefix("selection_"): value for name, value in row.items() if name.startswith("selection_")}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
