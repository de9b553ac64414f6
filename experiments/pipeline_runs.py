"""Runs of the pipeline with other values: a worktree each, `dvc repro` of the requested stages, their outputs read.

A worktree shares DVC's cache with this repository, so what several runs have in common, such as a teacher, is computed
once. Checkpoints of a stage that is killed lie in this repository, too, and the next run goes on from them.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from errors import UserError
from flows.orphan_guard import Guard
from flows.overrides import params_text
from flows.settings import stage_environment
from flows.worktree import overridden

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
"""Folder of the `python` for the stages."""


class RunFailed(UserError):
    """`dvc repro` failed; its output has the reason."""


@dataclass(frozen=True)
class Pipeline:
    """A profile with some values changed, the start of all runs of a grid. Thread-safe."""

    profile: Path
    assignments: tuple[str, ...] = ()
    """KEY=VALUE over the profile."""
    root: Path = ROOT
    stopping: threading.Event = field(default_factory=threading.Event)
    _guard: Guard = field(default_factory=Guard)

    def values(self, changes: Mapping[str, object] | None = None) -> dict[str, object]:
        """The whole params file of a run. Raises UserError with all its errors."""
        return yaml.safe_load(params_text(self.root, self.profile, self._overrides(changes or {})))

    @contextmanager
    def run(self, changes: Mapping[str, object], targets: Sequence[str]) -> Generator[Path]:
        """The root of a worktree in which these stages, and all they need, have run; it is removed afterwards.

        Raises RunFailed if one of them fails, UserError if the values can't be used.
        """
        given = self._overrides(changes)
        with overridden(self.root, self.profile, given, keep=False, restore=False) as tree:
            self._repro(tree, targets)
            yield tree

    def stop(self) -> None:
        """Stop the running process and its children; nothing is started afterwards."""
        self.stopping.set()
        self._guard.close()

    def _overrides(self, changes: Mapping[str, object]) -> list[str]:
        # JSON is YAML.
        return [*self.assignments, *(f"{key}={json.dumps(value)}" for key, value in changes.items())]

    def _repro(self, tree: Path, targets: Sequence[str]) -> None:
        if self.stopping.is_set():
            raise RunFailed("stopped")
        # -P: `dvc` must not find this repository's folders (data, models ...) before its own libraries.
        command = [sys.executable, "-P", "-m", "dvc", "repro", *targets]
        path = os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath)])
        # In a session of its own: the guard ends it, and whatever it started, should this process be killed.
        process = subprocess.Popen(command, cwd=tree, env=stage_environment() | {"PATH": path}, start_new_session=True)
        self._guard.watch(process.pid)
        status = process.wait()
        self._guard.forget(process.pid)
        if status:
            raise RunFailed(f"dvc repro {' '.join(targets)} ended with status {status}")
