"""The stages' own commands, run in a folder that looks like the repository to them and has outputs of its own."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

ROOT = Path(__file__).parents[1]
# Where somebody keeps rows and weights is of no use to the next reader of the command.
FOLDER = re.compile(r"(?<=[=\[, ])/[^\],\s]*")

# Stages whose output lies where another one's lies.
WRITES_TO = {"assisted_student": "student"}


@dataclass(frozen=True)
class Work:
    """A folder to run in, and the values of a whole params file."""

    folder: Path
    values: dict[str, object]


def read_values(profile: Path, assignments: Sequence[str]) -> dict[str, object]:
    """A profile's values with KEY=VALUE over them."""
    values = cast(dict[str, object], yaml.safe_load(profile.read_text(encoding="utf-8")))
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        assign(values, key, yaml.safe_load(value))
    return values


def assign(values: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key; KeyError if a section of it isn't there."""
    *sections, last = key.split(".")
    for section in sections:
        values = cast(dict[str, object], values[section])
    values[last] = value


def prepare(folder: Path) -> None:
    """Make a folder look like the repository to the stages: its code, and outputs of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "profiles"):
        link = folder / name
        if not link.exists():
            link.symlink_to(ROOT / name)


def write_params(work: Work, name: str, overrides: Mapping[str, object]) -> Path:
    """A params file in the folder, with values over the work's own."""
    values = json.loads(json.dumps(work.values))
    for key, value in overrides.items():
        assign(values, key, value)
    path = work.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def run_stage_command(
    work: Work,
    params: Path,
    stage: str,
    dataset: str,
    method: str | None = None,
    seed: int | None = None,
    *,
    again: bool = False,
) -> None:
    """Run a stage's command, unless its output is there."""
    given: dict[str, str | None] = {"dataset": dataset, "method": method, "seed": None if seed is None else str(seed)}
    keys = {key: value for key, value in given.items() if value is not None}
    output = work.folder / "outputs" / WRITES_TO.get(stage, stage) / Path(*keys.values())
    if not again and (output / "run.json").exists():
        return
    arguments = [part for key, value in keys.items() for part in (f"--{key}", value)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(work.values["threads"])}
    command = [sys.executable, "-m", f"tasks.{stage}", "--params", str(params), *arguments]
    subprocess.run(command, cwd=work.folder, env=environment, check=True)


def read_metrics(work: Work, *parts: str) -> dict[str, object]:
    """metrics.json of a stage's output."""
    path = work.folder / "outputs" / Path(*parts) / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))


def machine(values: Mapping[str, object]) -> str:
    """What a time depends on, in words."""
    return f"{platform.machine()} CPU, {os.cpu_count()} cores, {values['threads']} thread a stage"


def commit() -> str:
    """The commit that the code is at."""
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return answer.stdout.strip()
