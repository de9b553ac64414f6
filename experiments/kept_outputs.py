"""What is kept of a grid's runs: evaluations and records, where `reporting.compare` finds them.

WORK/points/NAME/outputs has those of one method or variant; WORK/outputs links to them, a method each, as the pipeline's
own outputs are, so that `cd WORK && python -m reporting.compare --params all.yaml --methods all` sees them all.
"""

import contextlib
import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.grid_types import Point, method_of, read_json
from outputs import output_folder
from reporting.effort import CURRICULUM_METHOD, Effort, effort_of

RECORDS = ("run.json", "metrics.json", "curves.jsonl", "steps.jsonl")
TRAINED = ("student", "assistant", "meta_teacher")
# effort_of reads below the current folder, which all threads of a process have in common.
_CURRENT_FOLDER = threading.Lock()


@dataclass(frozen=True)
class KeptOutputs:
    """A work folder."""

    work: Path

    def keep_split(self, tree: Path, dataset: str) -> None:
        """Keep a dataset's description and how many rows it has."""
        folder = output_folder("split", dataset=dataset)
        for name in ("metrics.json", "tokens/spec.json", "tokens/manifest.json"):
            _copy(tree / folder / name, self.work / folder / name)

    def keep(self, point: Point, tree: Path) -> None:
        """Keep a point's evaluation, and the records of all that was trained for it."""
        kept, method = self._folder(point.name), method_of(point.name)
        for stage in TRAINED:
            for record in (tree / "outputs" / stage / point.dataset).rglob(RECORDS[0]):
                for name in RECORDS:
                    _copy(record.with_name(name), kept / record.with_name(name).relative_to(tree))
        evaluated = output_folder("evaluate", dataset=point.dataset, method=method, seed=point.seed)
        shutil.copytree(tree / evaluated, kept / evaluated, dirs_exist_ok=True)
        self._values(point.name, point.dataset, point.seed).write_text(json.dumps(dict(point.values)), encoding="utf-8")
        self.show(point.name, point.name, point.dataset, point.seed)

    def has(self, point: Point) -> bool:
        """Whether a point has run with the values that it has now."""
        path = self._values(point.name, point.dataset, point.seed)
        return path.exists() and read_json(path) == json.loads(json.dumps(dict(point.values)))

    def show(self, name: str, shown_as: str, dataset: str, seed: int) -> None:
        """Link the student of a point where a comparison looks for that of a method or variant."""
        own, places = method_of(name), ["student", "evaluate"]
        links = {
            output_folder(stage, dataset=dataset, method=shown_as, seed=seed): output_folder(
                stage, dataset=dataset, method=own, seed=seed
            )
            for stage in places
        }
        if shown_as == CURRICULUM_METHOD:
            meta_teacher = output_folder("meta_teacher", dataset=dataset, seed=seed)
            links[meta_teacher] = meta_teacher
        for place, target in links.items():
            link = self.work / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(self._folder(name) / target)

    def split(self, dataset: str) -> tuple[dict, dict]:
        """(metrics, description) of a dataset."""
        folder = self.work / output_folder("split", dataset=dataset)
        return read_json(folder / "metrics.json"), read_json(folder / "tokens/spec.json")

    def evaluated(self, name: str, dataset: str, seed: int) -> dict:
        """metrics.json of a point's evaluation."""
        folder = output_folder("evaluate", dataset=dataset, method=method_of(name), seed=seed)
        return read_json(self._folder(name) / folder / "metrics.json")

    def parameters(self, name: str, dataset: str, seed: int) -> dict:
        """The values of params.yaml that a point's student was trained with."""
        folder = output_folder("student", dataset=dataset, method=method_of(name), seed=seed)
        return read_json(self._folder(name) / folder / "run.json")["params"]

    def effort(self, name: str, dataset: str, seed: int) -> Effort:
        """What a point's student took."""
        with _CURRENT_FOLDER, contextlib.chdir(self._folder(name)):
            found = effort_of(dataset, method_of(name), seed)
        assert found is not None, f"{name} was kept without the records of its student"
        return found

    def selection_losses(self, name: str, dataset: str, seeds: Sequence[int]) -> list[float]:
        """Loss on selection of each seed's student that there is."""
        done = [seed for seed in seeds if self._values(name, dataset, seed).exists()]
        return [self.evaluated(name, dataset, seed)["selection"]["loss"] for seed in done]

    def _folder(self, name: str) -> Path:
        return self.work / "points" / name

    def _values(self, name: str, dataset: str, seed: int) -> Path:
        return self._folder(name) / f"{dataset}-{seed}.json"


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
