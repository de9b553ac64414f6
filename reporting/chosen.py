"""How a student was chosen, from its stage's records: by what its epochs, and of how many settings on selection."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from epoch_choice import IN_WORDS
from outputs import output_folder
from reporting.effort import CURRICULUM_METHOD, MULTI_TASK, base_of
from reporting.reading import numbers, read_object


@dataclass(frozen=True)
class Chosen:
    """Rule and settings that chose one student's weights."""

    by: str
    """Rule that chose its epoch or episode, in words."""
    points: int
    """Settings that a search tried; 1: it trained as params.yaml says."""
    epochs: int | None
    """Epochs that were run; None where no record says, or episodes were."""
    asked: int | None
    """Epochs that params.yaml asks for: more than were run where `patience` ended the training."""


def how_chosen(dataset: str, method: str, seed: int) -> Chosen:
    """What chose the student of a method and seed; the points are those of the student that it went on from, if of any."""
    folder = output_folder("student", dataset=dataset, method=method, seed=seed)
    own = chosen_in(folder)
    went_on = method == CURRICULUM_METHOD or method.endswith(MULTI_TASK)
    if not went_on or not (folder / "run.json").exists():
        return own
    base = base_of(folder) if method == CURRICULUM_METHOD else method.removesuffix(MULTI_TASK)
    return replace(own, points=how_chosen(dataset, base, seed).points)


def chosen_in(folder: Path) -> Chosen:
    """What chose the network in a training stage's output; what its records don't say is as it was before they did."""
    run, metrics = (_object(folder / name) for name in ("run.json", "metrics.json"))
    params = run.get("params")
    by = str(params.get("selected_by", "loss")) if isinstance(params, Mapping) else "loss"
    epochs, search = numbers(metrics.get("epochs")), numbers(metrics.get("search"))
    return Chosen(
        by=next((words for name, words in IN_WORDS.items() if name == by), by),
        points=int(search.get("points", 1)),
        epochs=_whole(epochs.get("run")),
        asked=_whole(epochs.get("asked")),
    )


def points_of(datasets: Iterable[str], methods: Iterable[str], seeds: Iterable[int]) -> dict[str, int]:
    """Method -> the most settings that a search tried for one of its students; those that had one are left out."""
    seeds, datasets = tuple(seeds), tuple(datasets)
    most = {
        method: max(how_chosen(dataset, method, seed).points for dataset in datasets for seed in seeds)
        for method in methods
    }
    return {method: points for method, points in most.items() if points > 1}


def _object(path: Path) -> Mapping[str, object]:
    return read_object(path) if path.exists() else {}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
