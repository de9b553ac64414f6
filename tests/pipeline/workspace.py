"""A copy of this repository in a folder of its own, with params.yaml made small, in which stages and DVC really run."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from stages import merged

from benchmarks.repository_copy import copy_repository

ROOT = Path(__file__).parents[2]
CATALOG = Path("data/catalog/quickstart")
ALWAYS = {"register"}
"""Stages that run whatever has changed."""
# What a run of a few seconds needs; everything else stays as params.yaml has it.
SMALL: dict[str, dict[str, object]] = {
    "split": {"selection_minimum": 32},
    "teacher": {"epochs": 2},
    "student": {"epochs": 2},
    "meta_teacher": {"epochs": 2},
    "curriculum": {"episodes": 2, "max_steps_per_episode": 3, "reward": "gain", "probe_rows": 16},
    "evaluate": {"latency_repeats": 3},
}
CHANGED = """
import json
import networkx
from dvc.repo import Repo
with Repo() as repo:
    changed = {name for name in repo.status()}
    graph = repo.index.graph
    after = {
        later.addressing
        for stage in graph
        if stage.addressing in changed
        for later in networkx.ancestors(graph, stage)
    }
    print(json.dumps([sorted(changed), sorted(after | changed)]))
"""


@dataclass
class Workspace:
    """The copy. Commands run with this interpreter's tools first on the path, at one thread, without a network."""

    root: Path
    datasets: tuple[str, str]
    """One that is classified row by row, and a choice."""
    another: str
    """A third dataset, not in params.yaml."""
    first_output: str = ""
    """Return the output of the first `dvc repro`."""
    first_registered: dict = field(default_factory=dict)
    """registered.json after it; a trial in this folder leaves another."""
    tools: Path | None = None
    """A folder whose `python` DVC finds first (warm_python.py)."""

    def run(self, *command: str, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy; its error output follows its output."""
        own = environment()
        if self.tools is not None and command[0] == "dvc":
            own["PATH"] = f"{self.tools}{os.pathsep}{own['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.root,
            env=own | extra,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=550,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done

    def dvc(self, *arguments: str) -> str:
        """Run DVC, and return what it printed."""
        return self.run("dvc", *arguments).stdout

    def stage(self, name: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one stage by hand."""
        return self.run("python", "-m", f"tasks.{name}", *options, check=check)

    def changed(self) -> tuple[set[str], set[str]]:
        """(stages that DVC finds changed, those and all that come after them), without what always runs.

        DVC knows which modules a stage imports once `code` has looked, as it does first in any run.
        """
        self.dvc("repro", "code")
        found = json.loads(self.run("python", "-c", CHANGED).stdout.splitlines()[-1])
        return set(found[0]) - ALWAYS, set(found[1]) - ALWAYS

    @contextmanager
    def params(self, **sections: object) -> Generator[None]:
        """params.yaml with other values for a while: a section's keys are merged, other values replaced."""
        path = self.root / "params.yaml"
        before = path.read_text(encoding="utf-8")
        path.write_text(yaml.safe_dump(merged(yaml.safe_load(before), sections), sort_keys=False), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def weights(self, output: str) -> str:
        """sha256 of the file with the weights of a model under outputs/."""
        return hashlib.sha256(self.output(output, "model", "model.safetensors").read_bytes()).hexdigest()

    def output(self, *parts: str) -> Path:
        """A path under outputs/."""
        return self.root.joinpath("outputs", *parts)

    def json(self, *parts: str) -> dict:
        """A JSON file under outputs/."""
        return json.loads(self.output(*parts).read_text(encoding="utf-8"))


def started(output: str) -> set[str]:
    """The stages that DVC says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def ran(output: str) -> set[str]:
    """The same without what always runs."""
    return started(output) - ALWAYS


def environment() -> dict[str, str]:
    """This process's environment, with this interpreter's folder first on the path and nothing of pytest's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHONPATH"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return kept | {"PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}


def make_workspace(root: Path) -> Workspace:
    """A copy of this repository, committed, with the parameters and the generated rows made small."""
    copy_repository(root)
    plain, choice, other = _datasets(root)
    workspace = Workspace(root, (plain, choice), other)
    path = root / "params.yaml"
    small = {
        "datasets": [plain, choice],
        "seeds": [42],
        "threads": 1,
        **SMALL,
    }
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text(encoding="utf-8")), small), sort_keys=False))
    make_repository(workspace)
    return workspace


def make_repository(workspace: Workspace) -> None:
    """Make the copy a repository of its own whose first commit holds everything."""
    for command in (
        ("git", "init", "--quiet", "--initial-branch", "main"),
        ("git", "config", "user.name", "Tester"),
        ("git", "config", "user.email", "tester@example.org"),
    ):
        workspace.run(*command)
    commit(workspace, "start")


def commit(workspace: Workspace, message: str) -> None:
    """Commit everything that git does not ignore."""
    workspace.run("git", "add", "--all")
    workspace.run("git", "commit", "--quiet", "--message", message)


def _datasets(root: Path) -> tuple[str, str, str]:
    """A dataset of single or paired texts, a choice, and another; each with few generated rows."""
    kinds: dict[str, str] = {}
    for path in sorted((root / CATALOG).glob("*/dataset.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 320, "dev_rows": 60}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        kinds[path.parent.name] = content["kind"]
    choice = _of_kind(kinds, ("choice", "regression"))
    plain = _of_kind(kinds, ("pair", "single"))
    return plain, choice, next(name for name in kinds if name not in (plain, choice))


def _of_kind(kinds: dict[str, str], wanted: Sequence[str]) -> str:
    """The first dataset of the first of the kinds wanted that there is."""
    return next(name for kind in wanted for name in kinds if kinds[name] == kind)
