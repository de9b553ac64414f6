"""The files for `dvc plots`: long tables with one row per point, or per prediction for confusion."""

from collections.abc import Iterable, Mapping, Sequence

from config.methods import CURRICULUM
from kinds import KINDS
from reporting.classes import class_name
from reporting.gather import DatasetOutputs
from reporting.statistics import Spread
from reporting.summarise import DatasetSummary, Margin, Summary
from reporting.tables import csv_text

CURVES = ("dataset", "series", "seed", "epoch", "train_loss", "selection_loss", "selection_metric")
REWARDS = ("dataset", "series", "seed", "episode", "mean_reward", "selection_loss", "selection_metric")
ACTIONS = ("dataset", "series", "seed", "episode", "share")
CONFUSION = ("dataset", "method", "seed", "row_id", "actual", "predicted")


def plot_files(summary: Summary, outputs: Sequence[DatasetOutputs]) -> dict[str, str]:
    """File name -> CSV text. Empty tables keep their headers, so that DVC finds the columns."""
    return {
        "curves.csv": csv_text(CURVES, _curves(outputs)),
        "rewards.csv": csv_text(REWARDS, _rewards(outputs)),
        "actions.csv": csv_text(ACTIONS, _actions(outputs)),
        "confusion.csv": csv_text(CONFUSION, _confusion(summary, outputs)),
    }


def metrics_tree(summary: Summary) -> dict[str, object]:
    """The numbers for `dvc metrics diff`, as fractions; means over seeds."""
    tree: dict[str, object] = {one.name: _metrics_of(one, summary.main_method) for one in summary.datasets}
    if summary.average_scores:
        tree["mean"] = _scores_and_margin(summary.average_scores, summary.average_margins[summary.main_method])
    if summary.selected_on == "dev":
        tree["selected_on_dev"] = 1
    return tree


def _metrics_of(one: DatasetSummary, main_method: str) -> dict[str, object]:
    """Scores on dev, and each student's selection loss, by which a point of a grid is chosen."""
    student = one.models[main_method]
    numbers = _scores_and_margin(one.scores, one.margins[main_method])
    losses = one.all_scores.get("selection", {}).get("loss", {})
    chosen_by = {method: round(losses[method].mean, 6) for method in one.margins if method in losses}
    sizes = {"parameters": student.parameters, "latency_p50_ms": student.p50_ms}
    return {**numbers, **sizes, "selection_loss": chosen_by}


def _scores_and_margin(scores: Mapping[str, Spread], margin: Margin) -> dict[str, float | int | None]:
    means: dict[str, float | int | None] = {column: round(spread.mean, 6) for column, spread in scores.items()}
    return means | {"margin": round(margin.interval.difference, 6)}


def _curves(outputs: Sequence[DatasetOutputs]) -> Iterable[Sequence[object]]:
    for one in outputs:
        for (series, seed), rows in one.curves.items():
            for row in rows:
                values = [row.get(key, "") for key in ("train_loss", "selection_loss", f"selection_{one.headline}")]
                yield one.name, series, seed, int(row["epoch"]), *values


def _rewards(outputs: Sequence[DatasetOutputs]) -> Iterable[Sequence[object]]:
    for one in outputs:
        for seed, episodes in one.episodes.items():
            for episode in episodes:
                if episode.reward is not None:
                    selection = [episode.selection.get(key, "") for key in ("loss", one.headline)]
                    yield one.name, CURRICULUM, seed, episode.episode, episode.reward, *selection


def _actions(outputs: Sequence[DatasetOutputs]) -> Iterable[Sequence[object]]:
    for one in outputs:
        for seed, episodes in one.episodes.items():
            for episode in episodes:
                if episode.shares:
                    for other in outputs:
                        yield one.name, other.name, seed, episode.episode, episode.shares.get(other.name, 0.0)


def _confusion(summary: Summary, outputs: Sequence[DatasetOutputs]) -> Iterable[Sequence[object]]:
    """The main method's predictions on dev; labels carry the dataset, so that one matrix shows all datasets."""
    for one in outputs:
        if not KINDS[one.kind].has_classes:
            continue
        for seed in summary.seeds:
            rows = one.evaluations[summary.main_method, seed].predictions["dev"]
            for row_id, label, predicted in zip(rows.row_ids, rows.labels, rows.student.argmax(axis=1), strict=True):
                names = (f"{one.name}: {class_name(one.label_names, int(number))}" for number in (label, predicted))
                yield one.name, summary.main_method, seed, row_id, *names
