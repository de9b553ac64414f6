"""One student by one method within the budget that all methods get: which stages, with which values, in which folder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from benchmarks.stage_commands import Work, prepare, read_metrics, run_stage_command, write_params
from config.methods import BASELINE, CURRICULUM, LISTED, by_family

SHARED = ("source", "split", "teacher", "signals")


@dataclass(frozen=True)
class Entry:
    """A method, or a variant of one with other values."""

    name: str
    values: Mapping[str, object]

    @property
    def method(self) -> str:
        """What params.yaml calls it."""
        return self.name.partition("-")[0]

    @property
    def apart(self) -> bool:
        """Whether it runs in a folder of its own: another run of its method, or of its base, may stand beside it."""
        return self.name != self.method or self.method == CURRICULUM


@dataclass(frozen=True)
class Grid:
    """What is run, and where."""

    profile: str
    work: Work
    runs: Path
    entries: Sequence[Entry]
    datasets: Sequence[str]
    seeds: Sequence[int]
    updates: int
    batch_size: int
    command: str


def actions(grid: Grid) -> list[str]:
    """The profile's datasets: what a curriculum picks from."""
    return cast(list[str], grid.work.values["datasets"])


def lists_of(*methods: str) -> dict[str, object]:
    """The lists of a params file that names these methods and no other."""
    return {"methods": by_family(methods), "teacher.trajectory": True}


def train(grid: Grid, entry: Entry, dataset: str, seed: int) -> Work:
    """Everything for one student; returns where it lies."""
    _make_teacher(grid, dataset, seed)
    work = _apart(grid, entry) if entry.apart else grid.work
    curriculum = entry.method == CURRICULUM
    rows = cast(Mapping[str, int], read_metrics(grid.work, "split", dataset)["rows"])
    updates = grid.updates // 2 if curriculum else grid.updates
    base = _base(grid, entry)
    overrides = {
        **lists_of(*((base, CURRICULUM) if curriculum else (entry.method,))),
        "student.epochs": math.ceil(updates / math.ceil(rows["train"] / grid.batch_size)),
        "student.batch_size": grid.batch_size,
        **(_curriculum_of(updates, rows["quiz"], grid.batch_size) if curriculum else {}),
        **entry.values,
    }
    params = write_params(work, f"{entry.name}-{dataset}-{seed}", overrides)
    for stage, method in _stages(entry, base):
        run_stage_command(work, params, stage, dataset, method, seed)
    run_stage_command(work, params, "evaluate", dataset, entry.method, seed)
    if entry.apart:
        _link_results(grid, work, entry, dataset, seed)
    return work


def _make_teacher(grid: Grid, dataset: str, seed: int) -> None:
    """The teacher and its signals, unless they are there."""
    params = write_params(grid.work, f"shared-{dataset}-{seed}", lists_of(BASELINE))
    for stage in ("teacher", "signals"):
        run_stage_command(grid.work, params, stage, dataset, seed=seed)


def _stages(entry: Entry, base: str) -> list[tuple[str, str | None]]:
    """The stages that make a method's student, each with the method that its command names."""
    if entry.method == CURRICULUM:
        return [("student", base), ("meta_teacher", None), ("curriculum", CURRICULUM)]
    if entry.method in LISTED["assisted"]:
        return [("assistant", entry.method), ("assisted_student", entry.method)]
    return [("student", entry.method)]


def _base(grid: Grid, entry: Entry) -> str:
    section = cast(Mapping[str, str], grid.work.values["mpdistil"])
    return str(entry.values.get("mpdistil.base", section.get("base", "mse_kd")))


def _curriculum_of(updates: int, quiz: int, batch_size: int) -> dict[str, object]:
    """As many whole episodes, each a pass over the quiz batches, as reach the updates."""
    steps = math.ceil(quiz / batch_size)
    return {
        "curriculum.episodes": math.ceil(updates / steps),
        "curriculum.max_steps_per_episode": steps,
        "curriculum.batch_size": batch_size,
    }


def _apart(grid: Grid, entry: Entry) -> Work:
    """A folder of an entry's own that shares what all methods share."""
    work = replace(grid.work, folder=grid.work.folder / "variants" / entry.name)
    prepare(work.folder)
    (work.folder / "outputs").mkdir(exist_ok=True)
    for stage in SHARED:
        _link(work.folder / "outputs" / stage, grid.work.folder / "outputs" / stage)
    return work


def _link_results(grid: Grid, work: Work, entry: Entry, dataset: str, seed: int) -> None:
    """Let the results stand beside the others, so that one comparison sees them all."""
    for stage in ("student", "evaluate"):
        own = work.folder / "outputs" / stage / dataset / entry.method / str(seed)
        _link(grid.work.folder / "outputs" / stage / dataset / entry.name / str(seed), own)
    meta_teacher = work.folder / "outputs/meta_teacher" / dataset / str(seed)
    if meta_teacher.exists() and entry.name == CURRICULUM:
        _link(grid.work.folder / "outputs/meta_teacher" / dataset / str(seed), meta_teacher)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(target)
