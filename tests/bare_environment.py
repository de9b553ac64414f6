"""A virtual environment that holds mlflow, torch, transformers, pandas and what they bring, and nothing else of this one.

Made of links to this environment's packages, so it costs a moment; `pip install` is left to a slow test.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from programs import write_program

ABSENT = ("accelerate", "datasets", "dvc", "prefect", "data", "models", "tasks", "config", "registry")
ANSWER = f"""
import importlib.util, json, sys
import mlflow, pandas as pd
present = [name for name in {ABSENT!r} if importlib.util.find_spec(name)]
assert present == [], present
answers = {{}}
for address, rows in json.load(open(sys.argv[1])).items():
    answers[address] = mlflow.pyfunc.load_model(address).predict(pd.DataFrame(rows)).to_dict("list")
json.dump(answers, open(sys.argv[2], "w"))
"""
PACKAGES = ("mlflow", "torch", "transformers", "pandas")
SCRIPT = """
import sys
from {module} import {attribute}
sys.exit({attribute}())
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder outside the repository to run things in."""

    root: Path
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """Return a process's variables in it: its programs first on the path, nothing of this process's Python."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "MLFLOW"))}
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return kept | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}

    def run(self, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; if it fails, the assertion shows what it said."""
        done = subprocess.run(command, cwd=self.folder, env=self.variables | extra, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def make_environment(root: Path) -> Environment:
    """Link the packages and their programs into a new virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    (site,) = (root / "lib").glob("python3*/site-packages")
    for package in brought_by(PACKAGES):
        for name in {file.parts[0] for file in package.files or [] if ".." not in file.parts}:
            if name != "__pycache__" and not (site / name).exists():
                (site / name).symlink_to(str(package.locate_file(name)))
        for script in package.entry_points.select(group="console_scripts"):
            path = root / "bin" / script.name
            code = SCRIPT.format(module=script.module, attribute=script.attr)
            write_program(path, code, python=root / "bin/python")
    folder = root.parent / "elsewhere"
    folder.mkdir()
    return Environment(root, folder)


def answers_of(environment: Environment, registry: str, rows: Mapping[str, object]) -> dict[str, dict[str, list]]:
    """Address of a student -> the columns of its answers to its rows, given by a process of the environment."""
    given, answered = environment.folder / "rows.json", environment.folder / "answers.json"
    given.write_text(json.dumps(rows), encoding="utf-8")
    environment.run("python", "-c", ANSWER, str(given), str(answered), MLFLOW_TRACKING_URI=registry)
    return json.loads(answered.read_text(encoding="utf-8"))


def brought_by(names: Iterable[str]) -> list[Distribution]:
    """The named packages and all that they require, extras aside."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:  # another platform's
            continue
        if package.name not in found:
            found[package.name] = package
            needs = [Requirement(line) for line in package.requires or []]
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return list(found.values())
