"""Two runs that train in two processes and are ended in their midst: kd's student, a curriculum with policy; dropout is on."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from stages import ROOT, run_stage_here, write_params

PAIR, CHOICE = "payment", "bargain"
NETWORK = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.3}
SEEDED = ("--dataset", PAIR, "--seed", "1")


@dataclass(frozen=True)
class Run:
    """A stage, its command line and what it writes."""

    stage: str
    options: tuple[str, ...]
    output: str


RUNS = {
    "student": Run("student", (*SEEDED, "--method", "kd"), f"outputs/student/{PAIR}/kd/1"),
    "gain": Run(
        "curriculum", (*SEEDED, "--method", "mpdistil", "--params", "gain.yaml"), f"outputs/student/{PAIR}/mpdistil/1"
    ),
    "alignment": Run(
        "curriculum",
        (*SEEDED, "--method", "mpdistil", "--params", "alignment.yaml"),
        f"outputs/student/{PAIR}/mpdistil/1",
    ),
}


def prepare(folder: Path) -> None:
    """Rows, parameters, and all that the runs read, made by this process alone."""
    for name in (PAIR, CHOICE):
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 99, "dev_rows": 17}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for reward in ("alignment", "gain"):
        _params(folder, reward)
        (folder / f"{reward}.yaml").write_bytes((folder / "params.yaml").read_bytes())
    commands: list[tuple[str, tuple[str, ...]]] = [
        (stage, ("--dataset", name)) for name in (PAIR, CHOICE) for stage in ("source", "split")
    ]
    commands += [
        ("teacher", SEEDED),
        ("signals", SEEDED),
        ("student", RUNS["student"].options),
        ("meta_teacher", SEEDED),
    ]
    for stage, options in commands:
        ended = run_stage_here(folder, stage, *options)
        assert ended.status == 0, f"{stage}: {ended.errors}"
    # Of one process: what the curricula go on from, put back whenever two processes made another.
    made = folder / RUNS["student"].output
    made.rename(f"{made}-of-one")


def _params(folder: Path, reward: str) -> None:
    write_params(
        folder,
        datasets=[PAIR, CHOICE],
        seeds=[1],
        methods=["kd", "mpdistil"],
        source={"folder": "catalog"},
        split={"quiz": 0.1, "selection_minimum": 16, "max_length": 24},
        teacher={"epochs": 1, "batch_size": 8, "config": {**NETWORK, "hidden_size": 24, "num_hidden_layers": 3}},
        student={
            "epochs": 2,
            "batch_size": 8,
            "config": {**NETWORK, "hidden_size": 16, "num_hidden_layers": 2},
        },
        mpdistil={"base": "kd"},
        meta_teacher={"epochs": 2},
        curriculum={
            "episodes": 4,
            "max_steps_per_episode": 3,
            "batch_size": 3,
            "probe_rows": 7,
            "sampler": "policy",
            "reward": reward,
        },
        checkpoint={"minutes": None, "steps": 3},
    )
