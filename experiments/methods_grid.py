"""Methods, and variants of them, as points of a grid with one budget; for a paper's grid, the best on selection.

A method trains for as many whole epochs as reach the updates. MPDistil spends half of them on its base and half on its
curriculum.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from config.methods import CURRICULA, by_family, method_of, refusal, row_of
from data.atomic_files import whole_file
from errors import UserError
from experiments.grid_types import Point, Setting, evaluation
from experiments.kept_outputs import KeptOutputs
from experiments.method_runs import append_method_row, read_method_rows
from experiments.student_rows import budget_of, student_row
from experiments.teachers import OF_A_GRID, Teachers
from kinds import KINDS


@dataclass(frozen=True)
class Entry:
    """A method, or a variant of one with other values."""

    name: str
    """METHOD or METHOD-VARIANT."""
    values: Mapping[str, object]
    grid: str = ""
    """Method of the paper's grid that this is a point of: only the best point becomes a row."""

    @property
    def method(self) -> str:
        """Name of the method in params.yaml."""
        return method_of(self.name)


@dataclass(frozen=True)
class Budget:
    """Training budget of every student."""

    updates: int | None
    """Minimum number of the student's updates; None: the profile's epochs."""
    batch_size: int

    def values(self, method: str, rows: Mapping[str, int]) -> dict[str, object]:
        """Epochs, and for a curriculum episodes, for the row counts of the splits."""
        values: dict[str, object] = {"student.batch_size": self.batch_size}
        if self.updates is None:
            return values
        curriculum = method in CURRICULA
        updates = self.updates // 2 if curriculum else self.updates
        values["student.epochs"] = math.ceil(updates / math.ceil(rows["train"] / self.batch_size))
        if curriculum:  # whole episodes, each a pass over the quiz batches
            steps = math.ceil(rows["quiz"] / self.batch_size)
            values["curriculum.episodes"] = math.ceil(updates / steps)
            values |= {"curriculum.max_steps_per_episode": steps, "curriculum.batch_size": self.batch_size}
        return values


@dataclass(frozen=True)
class MethodsGrid:
    """Entries of a profile on some datasets and seeds."""

    setting: Setting
    entries: Sequence[Entry]
    datasets: Sequence[str]
    seeds: Sequence[int]
    budget: Budget

    @property
    def _leaves_out(self) -> bool:
        """True if nothing is distilled from a teacher that is within noise of the majority."""
        section = cast(Mapping[str, str], self.setting.values["teacher"])
        return section["no_better_than_majority"] == "error"

    @property
    def _teachers(self) -> Teachers:
        """The teachers of all entries; a trajectory costs a pass over train an epoch, so only a method that reads it has one."""
        followed = any(row_of(name).teacher == "trajectory" for entry in self.entries for name in self._trained(entry))
        values = {"teacher.trajectory": followed, **(OF_A_GRID if self._leaves_out else {})}
        return Teachers(self.setting, values)

    @property
    def outputs(self) -> KeptOutputs:
        """Kept outputs of the runs."""
        return KeptOutputs(self.setting.work)

    def prepare(self) -> None:
        """Make the splits, whose row counts determine the budget, and the params file for a comparison."""
        methods = by_family(dict.fromkeys(name for entry in self.entries for name in self._trained(entry)))
        shared = self._teachers.values
        values = {"datasets": list(self.datasets), "seeds": list(self.seeds), "methods": methods, **shared}
        with self.setting.pipeline.run(values, [f"split@{dataset}" for dataset in self.datasets]) as tree:
            self.outputs.keep_splits(tree)
        text = yaml.safe_dump(self.setting.pipeline.values(values), sort_keys=False)
        (self.setting.work / "all.yaml").write_text(text, encoding="utf-8")

    def points(self, dataset: str, seed: int) -> list[Point]:
        """The entries still to run; methods that refuse the dataset are named."""
        found: list[Point] = []
        if self._leaves_out and (reason := self._teachers.row(dataset, seed).reason):
            print(f"{dataset} {seed}: {reason}", flush=True)
            return found
        for entry in self.entries:
            reason, tried = (
                self._refused(entry, dataset),
                sum(one.grid == entry.grid for one in self.entries) if entry.grid else 1,
            )
            if reason is not None:
                print(f"left out: {reason}", flush=True)
            elif not self._has_row(entry.grid or entry.name, dataset, seed, tried):
                point = self.point(entry, dataset, seed)
                found += [] if entry.grid and self.outputs.has(point) else [point]
        return found

    def point(self, entry: Entry, dataset: str, seed: int) -> Point:
        """One student."""
        batches = entry.values.get("student.batch_size")
        budget = Budget(self.budget.updates, batches) if isinstance(batches, int) else self.budget
        values: dict[str, object] = {
            "seeds": [seed],
            **self._teachers.values,
            "datasets": self.setting.actions if entry.method in CURRICULA else [dataset],
            "methods": by_family(self._trained(entry)),
            **budget.values(entry.method, self.outputs.split_rows(dataset)),
            **entry.values,
        }
        return Point(entry.name, dataset, seed, values, (evaluation(dataset, entry.method, seed),))

    def finish(self, point: Point, tree: Path) -> None:
        """Keep the files for a comparison, and append a row unless the entry is a point of a paper's grid."""
        self.outputs.keep(point, tree)
        entry = next(entry for entry in self.entries if entry.name == point.name)
        if not entry.grid:
            append_method_row(self.setting.rows, self._row(entry, point.dataset, point.seed, self._tried(entry)))

    def conclude(self) -> None:
        """Choose the best point of each paper's grid on selection, make it its method's, and append its rows."""
        chosen = [
            self._choose(grid, dataset)
            for grid in dict.fromkeys(entry.grid for entry in self.entries if entry.grid)
            for dataset in self.datasets
        ]
        records = [record for record in chosen if record]
        if records:
            points = {str(record["method"]): record["points"] for record in records}
            text = json.dumps({"points": points, "chosen_on": "selection", "chosen": records}, indent=2) + "\n"
            with whole_file(self.setting.work / "points.json") as file:
                file.write(text.encode())

    def _choose(self, grid: str, dataset: str) -> dict[str, object] | None:
        """Print the best point of a grid, link it as the method's, and append a row for each seed without one."""
        tried = {entry.name: entry for entry in self.entries if entry.grid == grid}
        losses = {name: self.outputs.selection_losses(name, dataset, self.seeds) for name in tried}
        whole = {name: values for name, values in losses.items() if len(values) == len(self.seeds)}
        if not whole:
            return None
        name, loss = best_on_selection(whole)
        entry, short = tried[name], len(tried) - len(whole)
        failed = f"; {short} failed and were not counted" if short else ""
        values = ", ".join(f"{key} {value}" for key, value in entry.values.items())
        print(f"{dataset} {grid}: {name} of {len(whole)}, selection loss {loss:.4f}: {values}{failed}", flush=True)
        for seed in self.seeds:
            self.outputs.show(name, grid, dataset, seed)
            if not self._has_row(grid, dataset, seed, len(whole)):
                append_method_row(self.setting.rows, self._row(entry, dataset, seed, len(whole)))
        record = {"dataset": dataset, "method": grid, "experiment": name, "points": len(whole), "selection_loss": loss}
        return record | {"values": dict(entry.values)}

    def _trained(self, entry: Entry) -> list[str]:
        """An entry's method, after the one whose student a curriculum goes on from."""
        if entry.method not in CURRICULA:
            return [entry.method]
        section = cast(Mapping[str, str], self.setting.values[entry.method])
        return [str(entry.values.get(f"{entry.method}.base", section["base"])), entry.method]

    def _refused(self, entry: Entry, dataset: str) -> str | None:
        spec = self.outputs.spec(dataset)
        return refusal(entry.method, dataset, spec.kind, KINDS[spec.kind].columns(spec.label_names))

    def _tried(self, entry: Entry) -> int:
        """Number of points that an entry's row is chosen from, or of settings that its own search tries."""
        if entry.grid:
            return sum(one.grid == entry.grid for one in self.entries)
        search = cast(Mapping[str, Mapping[str, int | list[float] | None]], self.setting.values)["search"]
        rates, points = search["student_rates"], search["points"]
        return len(rates) if isinstance(rates, list) else cast(int, points)

    def _has_row(self, method: str, dataset: str, seed: int, points: int) -> bool:
        if not self.setting.rows.exists():
            return False
        budget = json.dumps(self._budget(), sort_keys=True)
        return any(
            (row.profile, row.budget) == (self.setting.profile, budget)
            and (row.dataset, row.method, row.seed, row.points) == (dataset, method, seed, points)
            for row in read_method_rows(self.setting.rows)
        )

    def _budget(self) -> dict[str, object]:
        return budget_of(self.setting.values, self.budget.updates, self.budget.batch_size)

    def _row(self, entry: Entry, dataset: str, seed: int, points: int) -> dict[str, object]:
        """One line of the runs file."""
        name, budget = entry.name, self._budget()
        shown = entry.grid or name
        return student_row(self.setting, name, dataset, seed, shown_as=shown, points=points, budget=budget)


def best_on_selection(losses: Mapping[str, Sequence[float]]) -> tuple[str, float]:
    """Name and loss of the point with the lowest mean loss on selection over seeds, the first by name of equal ones."""
    means = {name: sum(values) / len(values) for name, values in losses.items()}
    name = min(sorted(means), key=lambda name: means[name])
    return name, means[name]


def entries_of(methods: Iterable[str], variants: Iterable[Sequence[str]]) -> list[Entry]:
    """Methods as they are, and variants: a name and KEY=VALUE each."""
    found = [Entry(name, {}) for name in methods]
    for name, *assignments in variants:
        found.append(Entry(name, dict(_assigned(name, assignment) for assignment in assignments)))
    return found


def _assigned(name: str, assignment: str) -> tuple[str, object]:
    key, _, value = assignment.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        raise UserError(
            f"--variant {name} {assignment}: expected KEY=VALUE with a value in JSON, as in kd.temperature=9.0"
        ) from None
