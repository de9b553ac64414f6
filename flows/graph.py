"""The pipeline's graph: every stage, its upstream stages, and the reasons why it is out of date. Runs nothing."""

import re
import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import paths
from config import parameters
from flows.dvc_adapter.repository import PATIENCE, Repository, open_repository
from flows.dvc_adapter.tracked import DvcStage
from flows.reasons import CODE, WorkspaceStatus, why
from outputs import read_if_whole
from records.stage_run import PastRun

# Stages of one module differ in the family of their methods alone: evaluate_curriculum is an `evaluate`, too.
MODULE = re.compile(r"\btasks\.(\w+)")


@dataclass(frozen=True)
class Node:
    """One stage of dvc.yaml for one combination of its matrix."""

    name: str
    """DVC's address: student@rte-mse_kd-42."""
    stage: str
    """Its module of tasks/: evaluate for evaluate_curriculum@rte-mpdistil-42 as well."""
    dataset: str | None
    method: str | None
    seed: int | None
    needs: tuple[str, ...]
    """Names of the stages whose outputs it reads."""
    reasons: tuple[str, ...]
    """Reasons why it is out of date itself; empty if it is not."""
    seconds: float | None
    """Duration of its last run."""
    always: bool
    """Runs whether or not anything changed."""
    restores: bool = False
    """True if only its outputs are missing and DVC's cache has them: nothing would be computed."""

    @property
    def follows(self) -> tuple[str, ...]:
        """Upstream stages that may come out different: all but `code`, whose output is known before it runs."""
        return tuple(need for need in self.needs if need != CODE)


@dataclass(frozen=True)
class Graph:
    """Stages by name, in topological order."""

    root: Path
    nodes: dict[str, Node]


Statuses = Callable[[Repository, Path], WorkspaceStatus]


def of_workspace(repo: Repository, root: Path) -> WorkspaceStatus:
    """Statuses by the workspace and DVC's cache alone."""
    return WorkspaceStatus(root)


def statuses_for(pools: Collection[str]) -> Statuses:
    """Statuses for a run with these pools, for which an output on the remote is as good as one here; without any, as always."""
    if not pools:
        return of_workspace
    from flows.fleet.fleet_graph import of_remote

    return of_remote


def read_graph(root: Path, *, patience: float = PATIENCE, statuses: Statuses = of_workspace) -> Graph:
    """All stages of the repository in `root`, held against its workspace once, or against what `statuses` looks at.

    Raises UserError with every error of params.yaml, UserError where DVC can't read the pipeline, BusyError if
    another DVC process holds the workspace for longer than `patience` seconds.
    """
    root = root.absolute()
    parameters.load(root / "params.yaml")
    with open_repository(root, patience=patience) as repo:
        return Graph(root, {node.name: node for node in _nodes(repo, root, statuses(repo, root))})


def _nodes(repo: Repository, root: Path, statuses: WorkspaceStatus) -> Iterator[Node]:
    """The stages in an order in which they can run; among equals, that of dvc.yaml."""
    stages = {stage.name: stage for stage in repo.stages()}
    for name, stage in stages.items():
        reasons, restores = why(stage, statuses, [stages[need] for need in stage.needs])
        module, options = MODULE.search(stage.command), _options(stage.command)
        seed = options.get("seed")
        yield Node(
            name=name,
            stage=module[1] if module else name.partition("@")[0],
            dataset=options.get("dataset"),
            method=options.get("method"),
            seed=None if seed is None else int(seed),
            needs=stage.needs,
            reasons=reasons,
            seconds=_last_duration(stage, root),
            always=stage.always,
            restores=restores,
        )


def _options(command: str) -> dict[str, str]:
    """Options of a stage's command. Its name can't be split instead: a dataset's name may contain dashes."""
    return {word[2:]: value for word, value in pairwise(shlex.split(command)) if word.startswith("--")}


def _last_duration(stage: DvcStage, root: Path) -> float | None:
    """Seconds from the run.json of the stage's output, here or in the checkout that this copy was made from."""
    for out in stage.outs:
        inside = out.path.relative_to(root)
        for base in dict.fromkeys((root, paths.home(root))):
            past = read_if_whole(PastRun, base / inside / PastRun.FILE)
            if past is not None and past.duration_s is not None:
                return past.duration_s
    return None
