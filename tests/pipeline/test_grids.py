"""A grid for real: what its points share is made once, a killed run goes on, finished rows are left out."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from workspace import Workspace, environment, make_workspace, started

from experiments.method_runs import read_method_rows
from experiments.result_rows import read_rows

pytestmark = pytest.mark.xdist_group("pipeline")
# Two cells, and the `python` of tests for the stages.
TWO_CELLS = """
import sys
from pathlib import Path
from experiments import cells, grid, pipeline_runs
pipeline_runs.TOOLS = Path({tools!r})
cells.VARIANTS["default"] = [("collaborative", "alignment", sampler) for sampler in ("policy", "uniform")]
sys.exit(grid.main())
"""
SMALL = ("teacher.epochs=1", "student.epochs=1", "curriculum.episodes=1")


@pytest.fixture(scope="module")
def workspace(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    found = make_workspace(tmp_path_factory.mktemp("grids"))
    found.tools = warm
    yield found


def grid(workspace: Workspace, *arguments: str) -> "subprocess.Popen[str]":
    """Start a grid on one dataset and seed; its command names folders of this machine."""
    alone = f"datasets=[{workspace.datasets[0]}]"
    asked = ("--datasets", workspace.datasets[0], "--seeds", "42", "--set", *SMALL, alone)
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            TWO_CELLS.format(tools=str(workspace.tools)),
            "params.yaml",
            "rows.jsonl",
            *arguments,
            *asked,
        ],
        cwd=workspace.root,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finished(workspace: Workspace, *arguments: str) -> set[str]:
    """Run a grid to its end; the stages that were run, and not taken from the cache."""
    process = grid(workspace, *arguments)
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return started(said)


def workers(workspace: Workspace) -> list[str]:
    """Command lines of the processes that work in the workspace or a worktree of it."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve().is_relative_to(workspace.root):
                found.append((entry / "cmdline").read_text())
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def test_a_killed_grid_ends_all_that_it_started_and_goes_on_and_two_cells_share_a_teacher(workspace: Workspace) -> None:
    name, rows = workspace.datasets[0], workspace.root / "rows.jsonl"
    process, said = grid(workspace), ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if rows.exists():  # the first cell is done
            break
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while workers(workspace) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers(workspace) == []
    first = started(said)
    assert {f"teacher@{name}-42", f"student@{name}-mse_kd-42", f"curriculum@{name}-mpdistil-42"} <= first
    (row,) = read_rows(rows)
    later = finished(workspace)
    assert later <= {f"curriculum@{name}-mpdistil-42", f"evaluate_curriculum@{name}-mpdistil-42"}
    assert finished(workspace) == set()
    assert [one.cell.sampler for one in read_rows(rows)] == ["policy", "uniform"]
    assert read_rows(rows)[1].scores["teacher"] == row.scores["teacher"]
    assert not re.search(re.escape(str(workspace.root)), rows.read_text())


def test_methods_share_teacher_signals_and_budget_and_a_variant_stands_beside_them(workspace: Workspace) -> None:
    name, rows = workspace.datasets[0], workspace.root / "rows.jsonl"
    asked = ("--methods", "kd", "prokt", "--updates", "10", "--work", "outputs/methods")
    variant = ("--variant", "kd-hot", "kd.temperature=9.0")
    ran = finished(workspace, *asked)
    assert {f"{stage}@{name}-{method}-42" for stage in ("student", "evaluate") for method in ("kd", "prokt")} <= ran
    assert finished(workspace, *asked, *variant) == {f"student@{name}-kd-42", f"evaluate@{name}-kd-42"}
    kd, prokt, hot = read_method_rows(rows)
    assert kd.updates.student == prokt.updates.student == hot.updates.student >= 10
    assert (kd.updates.teacher, prokt.updates.teacher) == (0, prokt.updates.student)
    assert kd.dev.teacher == prokt.dev.teacher == hot.dev.teacher
    assert '"kd": {"alpha": 0.5' in kd.parameters
    assert hot.method == "kd-hot" and '"temperature": 9.0' in hot.parameters
    compared = subprocess.run(
        [sys.executable, "-m", "reporting.compare", "--params", "all.yaml", "--methods", "all"],
        cwd=workspace.root / "outputs/methods",
        env=environment() | {"PYTHONPATH": str(workspace.root)},
        text=True,
        capture_output=True,
    )
    assert compared.returncode == 0, compared.stderr
    assert all(method in compared.stdout for method in ("kd", "kd-hot", "prokt"))
