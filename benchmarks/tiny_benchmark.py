"""A benchmark of six datasets and three seeds with tiny networks: as many stages as a real run, in little time.

A copy of the repository with its own params.yaml and made rows; every stage is really run, in one process that imports
torch once, and its outputs are given to DVC with `dvc commit`.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.repository_copy import copy_repository
from benchmarks.stages_here import run_here, write_params
from config.methods import by_family
from data.quickstart import vocabulary

DATASETS = ("one", "two", "three", "four", "five", "six")
SEEDS = (1, 2, 3)
METHODS = ("finetune", "mse_kd", "mpdistil")
ROWS = {"train": 96, "dev": 16}
NETWORK = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
VALUES: dict[str, object] = {
    "benchmark": "tiny",
    "datasets": list(DATASETS),
    "seeds": list(SEEDS),
    "methods": by_family(METHODS),
    "threads": 1,
    "source.folder": "rows",
    "split.selection_minimum": 12,
    "split.quiz": 0.15,
    "split.max_length": 12,
    "teacher.config": {**NETWORK, "num_hidden_layers": 2},
    "teacher.epochs": 1,
    "student.config": {**NETWORK, "num_hidden_layers": 1},
    "student.epochs": 1,
    "meta_teacher.epochs": 1,
    "curriculum.episodes": 1,
    "curriculum.max_steps_per_episode": 1,
    "curriculum.probe_rows": 8,
    "evaluate.latency_repeats": 3,
    "evaluate.latency_length": 8,
}


def make(folder: Path) -> None:
    """Write the copy, run all stages but `register` and `report`, and give their outputs to DVC."""
    copy_repository(folder)
    _write_rows(folder / "rows")
    write_params(folder, VALUES)
    command(folder, "git", "init", "--quiet")
    command(folder, "git", "add", "--all")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    command(folder, "git", *author, "commit", "--quiet", "--message", "start")
    _run_stages(folder)
    command(folder, "dvc", "commit", "--force", "--quiet")


def command(folder: Path, *words: str) -> str:
    """Run a command in the copy with this interpreter's tools; return its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _write_rows(folder: Path) -> None:
    """Six datasets of single texts; no row comes twice."""
    words = vocabulary()
    for number, name in enumerate(DATASETS):
        draw = random.Random(number)  # noqa: S311
        (folder / name).mkdir(parents=True)
        description = {"kind": "single", "text": "text", "label": "label", "labels": ["no", "yes"]}
        (folder / name / "dataset.yaml").write_text(
            yaml.safe_dump({**description, "metrics": ["accuracy"]}), encoding="utf-8"
        )
        for split, count in ROWS.items():
            rows = [{"text": " ".join(draw.choices(words, k=8)), "label": row % 2} for row in range(count)]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / name / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def _run_stages(folder: Path) -> None:
    """All stages in topological order."""
    for name in DATASETS:
        run_here(folder, "source", dataset=name)
        run_here(folder, "split", dataset=name)
    pairs = [{"dataset": name, "seed": seed} for name in DATASETS for seed in SEEDS]
    for pair in pairs:
        run_here(folder, "teacher", **pair)
        run_here(folder, "signals", **pair)
        for method in METHODS[:-1]:
            run_here(folder, "student", method=method, **pair)
        run_here(folder, "meta_teacher", **pair)
    for pair in pairs:
        run_here(folder, "curriculum", method=METHODS[-1], **pair)
        for method in METHODS:
            run_here(folder, "evaluate", method=method, **pair)
    run_here(folder, "report")
