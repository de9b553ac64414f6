"""One run of the whole pipeline, shared by all tests of this folder; xdist keeps them in one process by their group."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_python import warm_folder
from workspace import Workspace, commit, make_workspace


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the front of PATH with a `python` that starts stages in no time."""
    with warm_folder(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.fixture(scope="session")
def ran_once(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the repository, in a folder with a space in its name, after one `dvc repro`."""
    workspace = make_workspace(tmp_path_factory.mktemp("pipeline") / "a small run")
    workspace.tools = warm
    start = time.monotonic()
    workspace.first_output = workspace.dvc("repro")
    workspace.first_registered = workspace.json("register", "registered.json")
    print(f"first dvc repro: {time.monotonic() - start:.0f} s")
    commit(workspace, "after the first run")
    return workspace


@pytest.fixture
def pipeline(ran_once: Workspace) -> Iterator[Workspace]:
    """The shared run, as the first `dvc repro` left it: a test that changes anything gets it put back."""
    yield ran_once
    changed = ran_once.run("git", "status", "--porcelain").stdout
    if changed:
        ran_once.run("git", "reset", "--quiet", "--hard")
        ran_once.run("git", "clean", "--quiet", "--force", "-d")
        ran_once.dvc("checkout", "--force")


@pytest.fixture
def aside(pipeline: Workspace) -> Workspace:
    """The same, for experiments in folders of their own: DVC notes the path of its cache there, and writes ASCII alone."""
    if not str(pipeline.root).isascii():
        pytest.skip(f"DVC runs no experiment outside of the workspace where its path is no ASCII: {pipeline.root}")
    return pipeline
