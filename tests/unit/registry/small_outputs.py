"""The outputs of one small student that went through the stages and learned its task, and others made from it.

A student that is made from it has other bytes in its config.json, so other weights' hash; its losses are shifted.
"""

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
from stages import ROOT, Ended, merged, run_main_job, run_stage_here, write_params

from checksums import combined, file_sums

DATASET, METHOD, SEED = "payment", "finetune", 42
NAME = f"quickstart-{DATASET}-{METHOD}"
SMALL: dict[str, dict[str, object]] = {
    "source": {"folder": str(ROOT / "data/catalog/quickstart")},
    "teacher": {"epochs": 4},
    "student": {"epochs": 6},
    "evaluate": {"latency_repeats": 3},
    "registry": {"margin": -200.0},
}


@dataclass
class Place:
    """A folder with params.yaml and outputs/, where stages are run in this process."""

    root: Path
    address: str
    """Of its registry."""

    def params(self, seeds: Sequence[int] = (SEED,), **sections: dict[str, object]) -> None:
        """Write params.yaml."""
        given = merged(copy.deepcopy(dict(SMALL)), sections)
        write_params(self.root, datasets=[DATASET], methods=[METHOD], seeds=list(seeds), threads=1, **given)

    def register(self) -> Ended:
        """Run the stage."""
        return run_stage_here(self.root, "register")

    def registered(self) -> dict:
        """registered.json."""
        return json.loads(self.output("register", "registered.json").read_text(encoding="utf-8"))

    def entry(self, seed: int = SEED) -> dict:
        """One student in it."""
        return next(one for one in self.registered()["students"] if one["seed"] == seed)

    def output(self, *parts: str) -> Path:
        return self.root.joinpath("outputs", *parts)

    def evaluated(self, seed: int = SEED) -> Path:
        return self.output("evaluate", DATASET, METHOD, str(seed))

    def student(self, seed: int = SEED) -> Path:
        return self.output("student", DATASET, METHOD, str(seed))

    def another_seed(self, seed: int, *, selection: float = 0.0, rows: float = 0.0) -> None:
        """A student of another seed: its mean selection loss, and its loss on every row, higher by so much."""
        shutil.copytree(self.student(), self.student(seed))
        shutil.copytree(self.evaluated(), self.evaluated(seed))
        self.change_weights(seed, f"seed {seed}")
        self.change_metrics(seed, "selection", "loss", selection)
        path = self.evaluated(seed) / "predictions.parquet"
        table = parquet.read_table(path)
        place = table.column_names.index("student_loss")
        losses = pa.array(table.column("student_loss").to_numpy() + rows)
        parquet.write_table(table.set_column(place, "student_loss", losses), path)

    def answer_alike(self, seed: int) -> None:
        """Make a student answer every dev row with the constant's class, at the losses that it had."""
        path, metrics = self.evaluated(seed) / "predictions.parquet", read(self.evaluated(seed) / "metrics.json")
        table = parquet.read_table(path)
        place, rows = table.column_names.index("student_logits"), table.column("student_logits").to_pylist()
        alike = [[float(answer == metrics["constant"]) for answer in range(len(row))] for row in rows]
        parquet.write_table(table.set_column(place, "student_logits", pa.array(alike)), path)
        self.change_metrics(seed, "dev", "accuracy", -0.01)

    def change_weights(self, seed: int, note: str) -> None:
        """Other bytes in the student's folder, and evaluate's record of having seen them."""
        config = self.student(seed) / "model" / "config.json"
        write(config, {**read(config), "note": note})
        record = read(self.evaluated(seed) / "run.json")
        model = f"outputs/student/{DATASET}/{METHOD}/{seed}/model"
        record["input_hashes"] = {
            **record["input_hashes"],
            model: combined(self.root / model, file_sums(self.root / model)),
        }
        write(self.evaluated(seed) / "run.json", record)

    def change_metrics(self, seed: int, section: str, key: str, more: float) -> None:
        """Add to a number in evaluate's metrics.json."""
        path = self.evaluated(seed) / "metrics.json"
        metrics = read(path)
        metrics[section][key] += more
        write(path, metrics)


def make_outputs(root: Path) -> None:
    """Run the stages once."""
    Place(root, "").params()
    run_main_job(root, [DATASET], [METHOD], [SEED])
    # Without the sums of the files, which tests change.
    for record in root.joinpath("outputs").rglob("run.json"):
        write(record, {key: value for key, value in read(record).items() if key != "files"})


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
