"""One small student, made once, and a place of its own with a registry for every test."""

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from made_students import empty_registry
from small_outputs import Place, make_outputs


@pytest.fixture(scope="session")
def made_outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of all stages up to evaluate."""
    root = tmp_path_factory.mktemp("made once")
    make_outputs(root)
    return root


@pytest.fixture
def place(made_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of them beside an empty registry, in a folder with a space in its name."""
    root = tmp_path / "a place"
    shutil.copytree(made_outputs, root)
    place = Place(root, empty_registry(tmp_path / "a registry"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.address)
    return place


@pytest.fixture(scope="session")
def registered_outputs(made_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same after one registration: version 1 is candidate and champion."""
    root = tmp_path_factory.mktemp("registered once") / "a place"
    shutil.copytree(made_outputs, root)
    place = Place(root, empty_registry(root.parent / "a registry"))
    place.params()
    with patch.dict(os.environ, MLFLOW_TRACKING_URI=place.address):
        ended = place.register()
    assert ended.status == 0, ended.errors
    return place


@pytest.fixture
def begun(registered_outputs: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of that; version 1's files stay where they were logged."""
    shutil.copytree(registered_outputs.root, tmp_path / "a place")
    shutil.copyfile(registered_outputs.address.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    place = Place(tmp_path / "a place", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.address)
    return place
