"""Stages that run in one process and in two, with their small rows and networks; dropout is off."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from stages import ROOT, run_stage_here, write_params

SIZES = {
    "model_type": "bert",
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.3,  # so that teacher and student have opinions, and losses their digits
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
PAIR, CHOICE, REGRESSION = "payment", "bargain", "worth"
SIGNALS = ("finetune", "kd", "mse_kd", "pkd", "dist", "annealing_kd", "rco", "prokd")
RUNS = ("tinybert", "ckd")
MOVING = ("dml", "prokt", "metadistil", "lgtm", "pesf_kd")
REWARDS = ("gain", "real", "alignment")
OPTIONS = {
    "reward": "gain",
    "gain_steps": 2,
    "target_steps": 1,
    "actions_rows": "train",
    "heads": "warmed",
    "head_steps": 3,
    "probe_rows": "all",
}
"""Of the curriculum, off in the presets."""


@dataclass(frozen=True)
class Step:
    """One run of one stage; `label` names its results."""

    label: str
    stage: str
    dataset: str
    method: str = ""
    params: str = "params.yaml"

    @property
    def options(self) -> tuple[str, ...]:
        """Of the command line."""
        method = ("--method", self.method) if self.method else ()
        return ("--dataset", self.dataset, *method, "--seed", "1", "--params", self.params)


def steps() -> list[Step]:
    """The plan, in an order in which each stage finds its inputs."""
    plan: list[Step] = []
    for name in (PAIR, CHOICE, REGRESSION):
        plan += [Step(f"{stage}-{name}", stage, name) for stage in ("teacher", "signals")]
    students = {PAIR: SIGNALS + RUNS + MOVING, CHOICE: ("mse_kd", "pkd", "lgtm"), REGRESSION: ("mse_kd", "metadistil")}
    for name, methods in students.items():
        plan += [Step(f"student-{name}-{method}", "student", name, method) for method in methods]
    for method in ("takd", "sftn"):
        plan += [Step(f"{stage}-{PAIR}-{method}", stage, PAIR, method) for stage in ("assistant", "assisted_student")]
    plan += [Step(f"meta_teacher-{name}", "meta_teacher", name) for name in (PAIR, CHOICE)]
    plan.append(Step(f"meta_student-{PAIR}-kd", "meta_student", PAIR, "kd"))
    plan.append(Step(f"multi_task-{PAIR}-kd", "multi_task", PAIR, "kd"))
    plan += [
        Step(f"curriculum-{PAIR}-{reward}", "curriculum", PAIR, "mpdistil", params=f"{reward}.yaml")
        for reward in REWARDS
    ]
    plan += [
        Step(f"curriculum-{PAIR}-{name}", "curriculum", PAIR, "mpdistil", params=f"{name}.yaml")
        for name in ("episode", "options")
    ]
    plan.append(Step(f"curriculum-{CHOICE}-gain", "curriculum", CHOICE, "mpdistil", params="gain.yaml"))
    return [*plan, *(Step(f"evaluate-{name}", "evaluate", name, "mpdistil") for name in (PAIR, CHOICE))]


def steps_in_parts() -> list[Step]:
    """Those that run once more with their networks' parameters split, one of each kind; the rest trains no other way."""
    methods = ("mse_kd", "tinybert", "ckd")  # with a projection; in phases, on attention scores; a teacher that runs
    students = {f"student-{PAIR}-{method}" for method in methods} | {f"student-{CHOICE}-pkd"}
    makers = {f"assistant-{PAIR}-sftn", f"meta_student-{PAIR}-kd", f"curriculum-{PAIR}-episode"}
    others = {f"teacher-{PAIR}", f"teacher-{REGRESSION}", f"signals-{PAIR}", f"evaluate-{PAIR}"}
    return [step for step in steps() if step.label in students | makers | others]


def read_plan(folder: Path, name: str) -> list[Step]:
    """The steps of `prepare` of the launch whose results go to the folder `name`."""
    return [Step(**one) for one in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))]


def output_of(folder: Path, step: Step) -> Path:
    """Return the output folder of a step's stage."""
    from outputs import output_folder

    method = {"method": step.method} if step.method else {}
    return folder / output_folder(step.stage, dataset=step.dataset, seed=1, **method)


def prepare(folder: Path) -> None:
    """Rows, parameters, `source` and `split`, and every step in this process: one/<label> and outputs/."""
    for name in (PAIR, CHOICE, REGRESSION):
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 99, "dev_rows": 17}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    curricula: dict[str, Mapping[str, object]] = {reward: {"reward": reward} for reward in REWARDS}
    for name, changes in curricula.items():
        _params(folder, f"{name}.yaml", changes)
    _params(folder, "episode.yaml", {"reward": "real", "update": "episode"})
    _params(folder, "options.yaml", OPTIONS)
    _params(folder, "params.yaml", {})
    for name in (PAIR, CHOICE, REGRESSION):
        for stage in ("source", "split"):
            ended = run_stage_here(folder, stage, "--dataset", name)
            assert ended.status == 0, ended.errors
    (folder / "one").mkdir()
    for step in steps():
        ended = run_stage_here(folder, step.stage, *step.options)
        assert ended.status == 0, f"{step.label}: {ended.errors}"
        shutil.copytree(output_of(folder, step), folder / "one" / step.label)
    for name, plan in (("two", steps()), ("parts", steps_in_parts())):
        (folder / name).mkdir()
        (folder / f"{name}.json").write_text(json.dumps([asdict(step) for step in plan]), encoding="utf-8")


def _params(folder: Path, name: str, curriculum: Mapping[str, object]) -> None:
    sizes: dict[str, object] = {
        "datasets": [PAIR, CHOICE, REGRESSION],
        "seeds": [1],
        "methods": [*SIGNALS, *RUNS, *MOVING, "takd", "sftn", "mpdistil", "kd_meta", "kd_multi"],
        "source": {"folder": "catalog"},
        "split": {"quiz": 0.1, "selection_minimum": 16, "max_length": 24},
        "teacher": {
            "epochs": 2,
            "batch_size": 8,
            "trajectory": True,
            "config": {**SIZES, "hidden_size": 24, "num_hidden_layers": 4},
        },
        "student": {
            "epochs": 2,
            "batch_size": 8,
            "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 2},
        },
        # Its teacher follows a difference of gradients: at the others' rate (1e-3) rounding grows to 1.02e-5 in two epochs.
        "lgtm": {"teacher_learning_rate": 3e-4},
        "takd": {"layers": 3},
        "rco": {"anchors": 2},  # both along two teacher epochs in two of the student's
        "prokd": {"label_share": 0.0},
        "mpdistil": {"base": "mse_kd"},
        "meta_teacher": {"epochs": 2},
        "curriculum": {
            "episodes": 2,
            "max_steps_per_episode": 3,
            "batch_size": 5,
            "probe_rows": 7,
            "sampler": "policy",
            **curriculum,
        },
        "evaluate": {"latency_repeats": 3, "batch_size": 10},
    }
    write_params(folder, **sizes)
    if name != "params.yaml":
        (folder / "params.yaml").rename(folder / name)
