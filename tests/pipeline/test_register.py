"""The register stage in the pipeline: after a run, after a second one, and on a cold clone with students from the cache."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from workspace import Workspace, ran, started

pytestmark = pytest.mark.xdist_group("pipeline")
METHODS = ("finetune", "mse_kd", "mpdistil")


def versions(root: Path) -> list[tuple[str, int]]:
    """(registered model, version) of all in the embedded registry."""
    with closing(sqlite3.connect(root / "outputs" / "mlflow" / "mlflow.db")) as store:
        return sorted(store.execute("select name, version from model_versions"))


def expected(workspace: Workspace) -> list[tuple[str, int]]:
    return sorted((f"quickstart-{name}-{method}", 1) for name in workspace.datasets for method in METHODS)


def add_remote(workspace: Workspace, folder: Path) -> None:
    """Make a folder the default remote. By a relative path: DVC writes none that is no ASCII, as pytest's folder may be."""
    workspace.run("dvc", "remote", "add", "--local", "--default", "there", os.path.relpath(folder, workspace.root))


def test_the_first_run_registered_every_student(ran_once: Workspace) -> None:
    assert "register: 6 new of 6 students" in ran_once.first_output
    assert versions(ran_once.root) == expected(ran_once)
    registered = ran_once.first_registered
    assert {(one["name"], one["version"]) for one in registered["students"]} == set(expected(ran_once))
    assert all("candidate" in one["aliases"] and one["gate"] for one in registered["students"])


def test_a_second_run_runs_register_alone_and_finds_nothing_new(pipeline: Workspace) -> None:
    output = pipeline.dvc("repro")
    assert started(output) == {"register"}
    assert "register: 0 new of 6 students" in output
    assert versions(pipeline.root) == expected(pipeline)


def test_a_dead_server_does_not_stop_the_pipeline(pipeline: Workspace) -> None:
    done = pipeline.run("dvc", "repro", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "the files under outputs/ stay the record, and the next run catches up" in done.stdout
    assert pipeline.json("register", "registered.json")["reachable"] is False
    page = pipeline.output("report", "report.html")
    assert "The registry did not answer" in page.read_text(encoding="utf-8")
    assert "register: 0 new of 6 students" in pipeline.dvc("repro")
    assert pipeline.json("register", "registered.json")["reachable"] is True
    assert "The registry did not answer" not in page.read_text(encoding="utf-8")
    assert "python -m flows pull " in page.read_text(encoding="utf-8")


def test_a_cold_clone_trains_nothing_and_fills_an_empty_registry(pipeline: Workspace, tmp_path: Path) -> None:
    add_remote(pipeline, tmp_path / "remote")
    pipeline.dvc("push", "--quiet")
    pipeline.run("dvc", "remote", "remove", "--local", "there")
    clone = Workspace(tmp_path / "a clone", pipeline.datasets, pipeline.another, tools=pipeline.tools)
    pipeline.run("git", "clone", "--quiet", str(pipeline.root), str(clone.root))
    add_remote(clone, tmp_path / "remote")
    clone.dvc("pull", "--quiet")
    output = clone.dvc("repro")
    assert started(output) == {"register"}
    assert "register: 6 new of 6 students" in output
    assert versions(clone.root) == expected(pipeline)
    gates = [
        {one["name"]: one["gate"] for one in place.json("register", "registered.json")["students"]}
        for place in (pipeline, clone)
    ]
    assert gates[0] == gates[1]


def test_a_run_aside_leaves_the_workspace_alone_and_finds_its_registry(aside: Workspace) -> None:
    before = aside.json("report", "report.json")
    output = aside.dvc("exp", "run", "--temp", "--set-param", "report.level=0.9", "--name", "aside")
    assert ran(output) == {"report"}
    assert aside.json("report", "report.json") == before
    assert "aside" in aside.dvc("exp", "list", "--name-only").split()
    assert (
        "register: trial (dvc exp run, aside): nothing registered; `dvc exp apply aside`, then `dvc repro`," in output
    )
    assert versions(aside.root) == expected(aside)
    again = ("--set-param", "report.level=0.8", "--set-param", "registry.trials=true", "--name", "asked-for")
    output = aside.dvc("exp", "run", "--temp", *again)
    assert "register: 0 new of 6 students" in output
