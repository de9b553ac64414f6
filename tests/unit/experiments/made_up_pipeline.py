"""A pipeline that trains nothing: each target leaves the few files that a grid's rows are made of."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from experiments.pipeline_runs import Pipeline, RunFailed

SCORES = {"accuracy": 0.75, "loss": 0.5}


@dataclass(frozen=True)
class MadeUpPipeline(Pipeline):
    """Notes what was asked for, and writes it below a folder."""

    folder: Path = Path()
    asked: list[tuple[dict[str, object], tuple[str, ...]]] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    """Text in the values of a run -> its loss on selection; a negative one fails."""

    @contextmanager
    def run(self, changes: Mapping[str, object], targets: Sequence[str]) -> Generator[Path]:
        """Write the targets' outputs; the values are really checked."""
        self.values(changes)
        self.asked.append((dict(changes), tuple(targets)))
        loss = next((loss for text, loss in self.losses.items() if text in json.dumps(dict(changes))), 0.5)
        if loss < 0:
            raise RunFailed("dvc repro ended with status 1")
        for target in targets:
            stage, _, keys = target.partition("@")
            self._write(stage, Path(*keys.split("-")), loss)
        yield self.folder

    def _write(self, stage: str, keys: Path, loss: float) -> None:
        outputs = self.folder / "outputs"
        if stage == "split":
            kind = "regression" if keys.name == "worth" else "single"
            spec = {"metrics": ["accuracy"], "kind": kind, "label_names": ["no", "yes"]}
            _json(outputs / stage / keys / "tokens/spec.json", spec)
            _json(outputs / stage / keys / "metrics.json", {"rows": {"train": 90, "quiz": 40}})
            return
        dataset, method, seed = keys.parts
        found: dict[str, object] = {
            f"{who}{split}": {**SCORES, "loss": loss} for who in ("", "teacher_") for split in ("dev", "selection")
        }
        found |= {"rows": {"dev": 56}, "best_episode": 3, "cumulative_share": {}, "selected_on": "selection"}
        record = {"params": {method: {"alpha": 0.5}}, "cpu_s": 2.0, "peak_memory_mb": 9.0, "duration_s": 7.0}
        trained = found | {"updates": {"student": 12, "teacher": 0}}
        base = f"student/{dataset}/mse_kd/{seed}"  # that mpdistil goes on from
        places = {
            f"evaluate/{keys}": found,
            base: trained,
            f"student/{keys}": trained,
            f"meta_teacher/{dataset}/{seed}": found,
        }
        for place, metrics in places.items():
            _json(outputs / place / "metrics.json", metrics)
            _json(outputs / place / "run.json", record)
        _json(outputs / "split" / dataset / "tokens/spec.json", {"metrics": ["accuracy"]})


def _json(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
