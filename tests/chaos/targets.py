"""Targets of kills: every stage, every method's state, every variant of the curriculum, on a few embedded rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from stages import ROOT, merged, write_params

from config.methods import LISTED
from outputs import output_folder

DATASETS = ("standing", "payment", "worth")
SEED = 1
NETWORK = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.05}
STUDENTS = LISTED["student"]
ASSISTED = LISTED["assisted"]
# The curriculum's state differs by these.
CURRICULA: Mapping[str, Mapping[str, object]] = {
    "policy-gain": {"sampler": "policy", "reward": "gain"},
    "policy-alignment": {"sampler": "policy", "reward": "alignment"},
    "policy-real-episode": {"sampler": "policy", "reward": "real", "update": "episode", "baseline": "running"},
    "policy-binary": {"sampler": "policy", "reward": "binary", "baseline": "episode"},
    "uniform": {"sampler": "uniform", "reward": "real"},
    "kd-only": {"sampler": "kd_only", "reward": "real"},
}
REPORTED: Mapping[str, object] = {
    "datasets": ["standing"],
    "methods": ["mse_kd"],
}
"""Values of the report: it shows what has been evaluated."""


@dataclass(frozen=True)
class Target:
    """One stage for one combination."""

    stage: str
    options: Mapping[str, str | int] = field(default_factory=dict)
    params: str = "params.yaml"

    @property
    def name(self) -> str:
        """For people."""
        variant = "" if self.params == "params.yaml" else self.params.removesuffix(".yaml")
        return " ".join(str(part) for part in (self.stage, *self.options.values(), variant) if part != "")

    @property
    def output(self) -> Path:
        """Return the paths that it writes, from the workspace."""
        return output_folder(self.stage, **self.options)  # ty: ignore[invalid-argument-type]

    @property
    def arguments(self) -> list[str]:
        """Of its command."""
        given = [part for key, value in self.options.items() for part in (f"--{key}", str(value))]
        return ["--params", self.params, *given]


def make_inputs(folder: Path) -> None:
    """Datasets of a few generated rows, params.yaml, and one file for each variant of the curriculum."""
    for name in DATASETS:
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 160, "dev_rows": 24}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    _write(folder, {"sampler": "policy", "reward": "gain"})
    plain = (folder / "params.yaml").read_text(encoding="utf-8")
    for name, values in CURRICULA.items():
        _write(folder, values)
        (folder / "params.yaml").rename(folder / f"{name}.yaml")
    _write(folder, {}, REPORTED)
    (folder / "params.yaml").rename(folder / "evaluated.yaml")
    (folder / "params.yaml").write_text(plain, encoding="utf-8")


def _write(folder: Path, curriculum: Mapping[str, object], others: Mapping[str, object] | None = None) -> None:
    values: dict[str, object] = {
        "datasets": list(DATASETS),
        "seeds": [SEED],
        "methods": [*STUDENTS, *ASSISTED, "mpdistil", "kd_meta", "finetune_multi"],
        "source": {"folder": "catalog"},
        "split": {"selection_minimum": 16, "max_length": 24},
        "teacher": {"epochs": 2, "trajectory": True, "config": {**NETWORK, "hidden_size": 24, "num_hidden_layers": 4}},
        "student": {
            "epochs": 2,
            "batch_size": 16,
            "config": {**NETWORK, "hidden_size": 16, "num_hidden_layers": 2},
        },
        "takd": {"layers": 3},
        "rco": {"anchors": 2},  # both along two teacher epochs in two of the student's
        "prokd": {"label_share": 0.0},
        "mpdistil": {"base": "mse_kd"},
        "metadistil": {"quiz_batch_size": 8},
        "lgtm": {"quiz_batch_size": 8},
        "meta_teacher": {"epochs": 3},
        "curriculum": {"episodes": 3, "max_steps_per_episode": 4, "batch_size": 8, "probe_rows": 8, **curriculum},
        "checkpoint": {"minutes": None, "steps": 2},
        "evaluate": {"latency_repeats": 3},
    }
    write_params(folder, **merged(values, others or {}))


def targets() -> list[Target]:
    """In the order in which each finds its inputs."""
    one = {"dataset": "standing", "seed": SEED}
    found = [Target(stage, {"dataset": name}) for name in DATASETS for stage in ("source", "split")]
    found += [Target("teacher", one), Target("signals", one)]
    found += [Target("student", {"dataset": "standing", "method": method, "seed": SEED}) for method in STUDENTS]
    found += [
        Target(stage, {"dataset": "standing", "method": method, "seed": SEED})
        for method in ASSISTED
        for stage in ("assistant", "assisted_student")
    ]
    found.append(Target("meta_teacher", one))
    found.append(Target("meta_student", {"dataset": "standing", "method": "kd", "seed": SEED}))
    # Of kd the signals of all datasets would be needed.
    found.append(Target("multi_task", {"dataset": "standing", "method": "finetune", "seed": SEED}))
    found += [
        Target("curriculum", {"dataset": "standing", "method": "mpdistil", "seed": SEED}, f"{name}.yaml")
        for name in CURRICULA
    ]
    # Not mpdistil's student: the curricula above take turns in its folder.
    found.append(Target("evaluate", {"dataset": "standing", "method": "mse_kd", "seed": SEED}))
    found.append(Target("report", params="evaluated.yaml"))
    return found
