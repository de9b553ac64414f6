"""What `dvc exp show --json` says of a grid's experiments, and the best of them on selection."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from config.methods import full_names

PARAMS, METRICS = "params.yaml", "outputs/report/metrics.json"
NAME = re.compile(r"grid-(?P<grid>.+)-(?P<number>\d{3,})$")
# What a point may change, so what is shown of it.
SHOWN = ("teacher.learning_rate", "student.learning_rate", "student.batch_size")


@dataclass(frozen=True)
class Tried:
    """One experiment of a grid."""

    name: str
    revision: str
    method: str
    """The method that the grid belongs to: the last one in the experiment's `methods`."""
    seeds: tuple[int, ...]
    params: Mapping[str, object]
    losses: Mapping[str, float]
    """Dataset -> loss on selection of the method's student, mean over seeds."""
    failed: bool

    @property
    def values(self) -> dict[str, object]:
        """The settings that a grid may change: learning rates, batch, and the method's own section."""
        found: dict[str, object] = {}
        for key in SHOWN:
            section, _, name = key.partition(".")
            found[key] = cast(Mapping[str, object], self.params.get(section, {})).get(name)
        own = "mse_kd" if self.method == "mpdistil" else self.method
        section = cast(Mapping[str, object], self.params.get(own) or {})
        return found | {f"{own}.{name}": value for name, value in section.items()}


@dataclass(frozen=True)
class Chosen:
    """The best point for one dataset and method."""

    dataset: str
    method: str
    tried: Tried
    loss: float
    points: int
    """How many finished points it was chosen from."""

    @property
    def base(self) -> str:
        """The method that MPDistil's curriculum went on from."""
        return str(_mapping(self.tried.params.get("mpdistil")).get("base", "mse_kd"))


def finished(shown: Sequence[Mapping[str, object]]) -> list[Tried]:
    """A grid's experiments in order of their names; those that failed are marked, those still queued left out."""
    found = {one.name: one for one in _experiments(shown)}
    return [found[name] for name in sorted(found)]


def choose(tried: Sequence[Tried]) -> list[Chosen]:
    """For each dataset and method the point with the lowest loss on selection; dev is never read."""
    counted = [one for one in tried if not one.failed]
    keys = dict.fromkeys((dataset, one.method) for one in counted for dataset in one.losses)
    chosen: list[Chosen] = []
    for dataset, method in keys:
        own = [one for one in counted if one.method == method and dataset in one.losses]
        best = min(own, key=lambda one: one.losses[dataset])  # the earliest of equal ones
        chosen.append(Chosen(dataset, method, best, best.losses[dataset], len(own)))
    return chosen


def _experiments(shown: Sequence[Mapping[str, object]]) -> Iterator[Tried]:
    for commit in shown:
        for experiment in _list(commit.get("experiments")):
            state = _mapping(experiment.get("executor")).get("state")
            revisions = _list(experiment.get("revs"))
            if revisions and state not in ("queued", "running"):
                one = _tried(revisions[0], failed=state == "failed")
                if one is not None:
                    yield one


def _tried(revision: Mapping[str, object], *, failed: bool) -> Tried | None:
    """None for experiments that are no grid's."""
    name, data = str(revision.get("name") or ""), _mapping(revision.get("data"))
    if not NAME.match(name):
        return None
    params = _mapping(_mapping(_mapping(data.get("params")).get(PARAMS)).get("data"))
    metrics = _mapping(_mapping(_mapping(data.get("metrics")).get(METRICS)).get("data"))
    listed = params.get("methods")
    methods = full_names(cast(Mapping[str, list[str]], listed)) if isinstance(listed, Mapping) else listed
    method = str(cast(Sequence[object], methods or [""])[-1])
    losses = {
        dataset: loss
        for dataset, content in metrics.items()
        if isinstance(loss := _mapping(_mapping(content).get("selection_loss")).get(method), int | float)
    }
    seeds = tuple(int(str(seed)) for seed in cast(Sequence[object], params.get("seeds") or []))
    return Tried(name, str(revision.get("rev")), method, seeds, params, losses, failed or not losses)


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Mapping[str, object]]:
    return cast(list[Mapping[str, object]], value) if isinstance(value, list) else []
