"""Choice of a student, from its stage's records: the rule for epochs, the number of settings tried."""

from collections.abc import Iterable
from dataclasses import dataclass

from epoch_choice import IN_WORDS
from outputs import has_record, read_record, student_folder
from records.stage_run import RunRecord
from records.trained import StudentMetrics, student_metrics_of
from reporting.effort import base_of


@dataclass(frozen=True)
class ChosenBy:
    """Rule and settings that chose one student's weights."""

    by: str
    """Rule that chose its epoch or episode, in words."""
    points: int
    """Settings tried by a search; 1: trained as params.yaml says."""
    epochs: int | None
    """Epochs run; None without a record, or for episodes."""
    asked: int | None
    """Epochs requested in params.yaml: more than run if `patience` ended the training."""


def how_chosen(dataset: str, method: str, seed: int) -> ChosenBy:
    """Look up how the student of a method and seed was chosen; the points are those of the student that it went on from, if of any.

    What its records don't say is as it was before they did.
    """
    folder = student_folder(dataset, method, seed)
    if not has_record(folder):
        return ChosenBy(IN_WORDS["loss"], 1, None, None)
    run = read_record(RunRecord, folder)
    metrics, base = read_record(student_metrics_of(run.stage), folder), base_of(run)
    by = str(run.parameter("selected_by") or "loss")
    by = next((words for name, words in IN_WORDS.items() if name == by), by)
    if not isinstance(metrics, StudentMetrics):
        return ChosenBy(by, 1 if base is None else how_chosen(dataset, base, seed).points, None, None)
    epochs = metrics.epochs
    points = 1 if metrics.search is None else metrics.search.points
    return ChosenBy(by, points, epochs.run if epochs else None, epochs.asked if epochs else None)


def points_of(datasets: Iterable[str], methods: Iterable[str], seeds: Iterable[int]) -> dict[str, int]:
    """Method -> the most settings that a search tried for one of its students, without methods that had one."""
    seeds, datasets = tuple(seeds), tuple(datasets)
    most = {
        method: max(how_chosen(dataset, method, seed).points for dataset in datasets for seed in seeds)
        for method in methods
    }
    return {method: points for method, points in most.items() if points > 1}
