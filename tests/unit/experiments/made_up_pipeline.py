"""A pipeline that trains nothing: each target leaves made-up outputs of its dataset, method and seed."""

import contextlib
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fake_outputs import FakeDataset, write_outputs, write_record

from experiments.pipeline_runs import Pipeline, RunFailed
from outputs import evaluate_folder, output_folder
from records.trained import SearchRecord, SignalsMetrics, TeacherMetrics

CURRENT_FOLDER = threading.Lock()


@dataclass(frozen=True)
class MadeUpPipeline(Pipeline):
    """Notes what was asked for, and writes it below a folder."""

    folder: Path = Path()
    asked: list[tuple[dict[str, object], tuple[str, ...]]] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    """Text in the values of a run -> its loss on selection; a negative one fails."""
    within_noise: list[str] = field(default_factory=list)
    """Datasets whose teacher is within noise of the majority."""

    @contextmanager
    def run(self, changes: Mapping[str, object], targets: Sequence[str]) -> Generator[Path]:
        """Write the targets' outputs; the values are really checked."""
        self.values(changes)
        self.asked.append((dict(changes), tuple(targets)))
        loss = next((loss for text, loss in self.losses.items() if text in json.dumps(dict(changes))), 0.5)
        if loss < 0:
            raise RunFailed("dvc repro ended with status 1")
        with CURRENT_FOLDER:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.chdir(self.folder):
                for stage, _, keys in (target.partition("@") for target in targets):
                    if stage == "signals":
                        _write_teacher(*keys.split("-"), within_noise=self.within_noise)
                    else:
                        _write(*keys.split("-"), loss=loss)
        yield self.folder


def _write_teacher(name: str, seed: str, *, within_noise: Sequence[str]) -> None:
    _write(name, seed=seed, loss=0.5)
    scores = {"loss": 0.4, "accuracy": 0.8}
    tried: dict[str, float | dict[str, float] | str | None] = {"teacher.learning_rate": 5e-5, "selection": scores}
    made = TeacherMetrics(
        selection=scores,
        selected_on="selection",
        selected_by="loss",
        parameters=1,
        origin="train",
        search=SearchRecord(points=2, chosen=1, tried=(tried, tried)),
        within_noise="the teacher is no better" if name in within_noise else None,
    )
    write_record(output_folder("teacher", dataset=name, seed=int(seed)), made)
    said = SignalsMetrics(teacher={"dev": scores, "selection": scores}, layers=())
    write_record(output_folder("signals", dataset=name, seed=int(seed)), said)


def _write(name: str, method: str = "finetune", seed: str = "42", *, loss: float) -> None:
    kind, names = ("regression", ()) if name == "worth" else ("single", ("no", "yes"))
    dataset = FakeDataset(name, kind, names, ("pearson",) if name == "worth" else ("accuracy",), 56)
    base = () if method != "mpdistil" else ("mse_kd",)
    write_outputs([dataset], [int(seed)], [*base, method])
    path = evaluate_folder(name, method, int(seed)) / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["selection"]["loss"] = loss
    path.write_text(json.dumps(metrics))
