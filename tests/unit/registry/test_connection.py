"""Addresses: which is used, which are refused, and how long a server that does not answer is waited for."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stages import ROOT

import paths
from errors import UserError
from registry.connection import RegistryUnreachable, connect, is_server, lock_folder, locked, tracking_address

pytestmark = pytest.mark.xdist_group("registry")


def test_without_a_server_the_registry_is_a_file_of_the_repository_at_an_absolute_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")
    monkeypatch.chdir(tmp_path)
    assert tracking_address() == paths.embedded_address()
    assert Path(tracking_address().removeprefix("sqlite:///")).is_absolute()


def test_a_relative_file_is_one_of_the_repository_wherever_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine/mlflow.db")
    monkeypatch.chdir(tmp_path)
    assert tracking_address() == f"sqlite:///{paths.home() / 'mine' / 'mlflow.db'}"
    assert lock_folder(tracking_address()) == paths.home() / "mine"


def test_locks_of_a_server_lie_in_the_repository() -> None:
    assert is_server("https://mlflow.example.org")
    assert lock_folder("https://mlflow.example.org") == paths.registry_folder()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("htp://127.0.0.1:5000", "not an address of an MLflow server or database"),
        ("file:///tmp/mlruns", "not an address of an MLflow server or database"),
        ("sqlite://", "not an address of an MLflow server or database"),
        ("http://", "has no host name"),
        ("http://[::1", "not an address (Invalid IPv6 URL)"),
        ("http://host:port", "not an address (Port could not be cast"),
    ],
)
def test_what_can_be_no_registry_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(UserError) as caught:
        connect()
    assert words in str(caught.value)
    assert "unset it for the embedded registry" in str(caught.value)
    assert not isinstance(caught.value, RegistryUnreachable)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_hangs_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch, silent_server: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent_server)
    start = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="timed out"):
        connect()
    assert time.monotonic() - start < 30


def test_a_file_that_is_no_database_and_a_folder_that_cannot_be_made_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be taken for one" * 20)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(UserError, match="file is not a database"):
        connect()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db' / 'below' / 'mlflow.db'}")
    with pytest.raises(UserError, match=r"opening.lock: can't be written \(Not a directory\)"):
        connect()


HOLD = """
import sys, time
from pathlib import Path
from registry.connection import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_waits_for_its_holder_and_ends_with_a_killed_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "registering.lock"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
        start = time.monotonic()
        with locked(path, "waiting for somebody"):
            assert time.monotonic() - start > 0.3
        killer.wait()
    assert "waiting for somebody" in capfd.readouterr().err


def test_a_store_that_a_killed_process_made_by_halves_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / "mlflow" / ".mlflow.db.partial"
    half.parent.mkdir()
    with closing(sqlite3.connect(half)) as database:
        database.execute("create table secrets (secret_id varchar)")  # MLflow's own name: it could not go on from here
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{half.with_name('mlflow.db')}")
    assert connect().search_registered_models() == []
    assert sorted(path.name for path in half.parent.iterdir()) == ["mlflow.db", "opening.lock"]


def test_a_database_that_a_server_of_mlflow_made_by_halves_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        # As its migrations stand after their first steps; they can't go on from here.
        database.execute("create table experiments (experiment_id integer)")
        database.execute("create table metrics (key varchar, step bigint)")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(UserError, match="was killed on the way, nothing is in it: delete it"):
        connect()
