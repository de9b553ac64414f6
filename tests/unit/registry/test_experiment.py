"""Location of an experiment's files: never a folder of MLflow's choice, whatever the registry's address is."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment
from small_outputs import NAME, Place
from stages import ROOT

import paths
from errors import UserError
from registry.connection import artifact_folder, connect
from registry.experiment import open_experiment

pytestmark = pytest.mark.xdist_group("registry")
POSTGRES = os.environ.get("DISTILFLOW_TEST_POSTGRES", "")
"""Address of an empty Postgres database, for the one test that needs it; its driver must be installed."""

ELSEWHERE = """
import pathlib, runpy, sys
import paths
folder = pathlib.Path(sys.argv.pop(1))
paths.registry_folder = lambda: folder
sys.argv.pop(0)
runpy.run_module(sys.argv[0], run_name="__main__")
"""
"""Runs a module with another folder as the repository's registry."""


def location(place: Place, name: str = "quickstart") -> str:
    found = MlflowClient(place.address, place.address).get_experiment_by_name(name)
    assert found is not None
    return found.artifact_location


def set_location(place: Place, text: str) -> None:
    """Have an experiment `quickstart` whose files go elsewhere."""
    made = MlflowClient(place.address, place.address).create_experiment("quickstart")
    with closing(sqlite3.connect(place.address.removeprefix("sqlite:///"))) as store, store:
        store.execute("update experiments set artifact_location = ? where experiment_id = ?", (text, int(made)))


def test_a_database_s_files_go_into_the_repository_s_own_folder_and_a_server_s_where_it_says() -> None:
    own = paths.registry_folder() / "artifacts"
    assert artifact_folder("postgresql+psycopg2://somebody@db.example.org/mlflow") == own
    assert artifact_folder("sqlite:////somewhere/mlflow.db") == Path("/somewhere/artifacts")
    assert artifact_folder("https://mlflow.example.org") is None


def test_a_fresh_store_gives_no_experiment_a_folder_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = connect()
    identity = open_experiment(client, "mine", str(client.tracking_uri), print)
    assert client.get_experiment("0").artifact_location == str(tmp_path / "artifacts" / "0")
    assert client.get_experiment(identity).artifact_location == str(tmp_path / "artifacts" / "mine")


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("./mlruns/1", "in whatever folder a command runs"),
        ("/clone/.dvc/tmp/flows/1/1/mlruns/1", "in a folder that is removed after one run"),
        ("file:///clone/.dvc/tmp/exps/1/mlruns/1", "in a folder that is removed after one run"),
    ],
)
def test_an_experiment_whose_files_nobody_finds_again_is_set_aside(place: Place, lost: str, why: str) -> None:
    place.params()
    set_location(place, lost)
    ended = place.register()
    assert ended.status == 0, ended.errors
    (line,) = [line for line in ended.errors.splitlines() if "experiment" in line]
    assert (
        f"experiment quickstart: its files went to {lost}, {why}; it is now named 'quickstart (files lost, 1)'" in line
    )
    assert location(place) == str(Path(place.address.removeprefix("sqlite:///")).parent / "artifacts" / "quickstart")
    assert "experiment" not in place.register().errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mlflow-artifacts:/1",
            "which only an MLflow server can reach; set MLFLOW_TRACKING_URI to that server's address",
        ),
        ("/not/on/this/machine", "which is not on this machine; bring that folder back"),
    ],
)
def test_a_location_that_cannot_be_reached_from_here_is_refused_with_a_way_out_that_works(
    place: Place, text: str, said: str
) -> None:
    place.params()
    set_location(place, text)
    ended = place.register()
    assert ended.status == 2
    assert f"experiment quickstart keeps its files in {text}, {said}" in ended.errors
    assert '`mlflow experiments rename --experiment-id 1 --new-name "quickstart before"`' in ended.errors
    assert not Path("/not").exists()
    MlflowClient(place.address, place.address).rename_experiment("1", "quickstart before")  # as that command does
    assert place.register().status == 0


def test_a_bucket_or_a_shared_folder_that_somebody_chose_is_used(place: Place, tmp_path: Path) -> None:
    set_location(place, str(tmp_path / "shared" / "files"))
    (tmp_path / "shared").mkdir()
    place.params()
    assert place.register().status == 0
    assert location(place) == str(tmp_path / "shared" / "files")
    assert any((tmp_path / "shared" / "files").rglob("model.safetensors"))
    # The second one looks for the files there, and finds nothing to do.
    assert "0 new of 1 students" in place.register().output


def test_a_folder_of_a_server_s_disk_that_is_not_here_is_refused() -> None:
    # What a server without --artifacts-destination says.
    there = Experiment("4", "quickstart", "/srv/of/the/server/4", "active")
    client = create_autospec(MlflowClient, instance=True)
    client.get_experiment_by_name.return_value = there
    with pytest.raises(UserError, match="start the server with --artifacts-destination") as caught:
        open_experiment(client, "quickstart", "http://user:secret@mlflow.example.org", print)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql://nobody@127.0.0.1:9/mlflow", "mysql+pymysql://a:secret@127.0.0.1:9/b"]
)
def test_a_database_that_does_not_answer_stops_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    place.params()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    ended = place.register()
    assert ended.status == 0
    assert "no answer (connection refused); the files under outputs/ stay the record" in ended.errors
    assert "secret" not in ended.errors


@pytest.mark.skipif(not POSTGRES, reason="DISTILFLOW_TEST_POSTGRES names no empty Postgres database")
def test_students_in_a_postgres_database_can_be_pulled_from_another_folder(place: Place, tmp_path: Path) -> None:
    place.params()
    own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    own["MLFLOW_TRACKING_URI"] = POSTGRES

    def ran(*command: str, folder: Path) -> str:
        line = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "registry"), *command]
        done = subprocess.run(line, cwd=folder, env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1 new of 1 students" in ran("tasks.register", folder=place.root)
    assert sorted(path.name for path in place.root.iterdir()) == ["outputs", "params.yaml"]
    ran("registry.pull", f"{NAME}@champion", "--to", "student", folder=tmp_path)
    assert (tmp_path / "student" / "artifacts" / "student" / "model.safetensors").is_file()
    assert any((tmp_path / "registry" / "artifacts" / "quickstart").rglob("model.safetensors"))
    assert "0 new of 1 students" in ran("tasks.register", folder=place.root)
