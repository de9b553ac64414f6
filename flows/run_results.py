"""Kept results of a run in a worktree: outputs/runs/ID with its report, metrics, params.yaml and dvc.lock."""

import contextlib
import os
import shutil
from pathlib import Path

from errors import UserError
from flows.graph import Statuses, of_workspace, read_graph
from flows.outcome import REGISTERED

RUNS = Path("outputs", "runs")
REPORT = Path("outputs", "report")
LAST = "evaluate"
RECORDS = ("metrics.json", "run.json")


def results_folder(root: Path, name: str) -> Path:
    """The folder of a run's results in the originating checkout."""
    return root / RUNS / name


def keep_results(tree: Path, folder: Path, statuses: Statuses = of_workspace) -> bool:
    """Copy the results of a run in `tree` to `folder`, whole or not at all; False, and nothing, if it evaluated nothing."""
    evaluated = _evaluated(tree, statuses)
    if not evaluated and not (tree / REPORT).is_dir():
        return False
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        for record in ("params.yaml", "dvc.lock", REGISTERED):
            _copy(tree / record, aside / Path(record).name)
        for path in evaluated:
            for record in RECORDS:
                _copy(path / record, aside / path.relative_to(tree / "outputs") / record)
        if (tree / REPORT).is_dir():
            shutil.copytree(tree / REPORT, aside / REPORT.name)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return True


def _evaluated(tree: Path, statuses: Statuses) -> list[Path]:
    """Outputs of evaluations that are up to date with all before them; of a run that ended early, others are old."""
    fresh: set[str] = set()
    found: list[Path] = []
    with contextlib.suppress(UserError):
        for node in read_graph(tree, statuses=statuses).nodes.values():
            if not node.reasons and fresh.issuperset(node.follows):
                fresh.add(node.name)
                if node.stage == LAST:
                    found.append(tree.joinpath("outputs", LAST, str(node.dataset), str(node.method), str(node.seed)))
    return found


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
