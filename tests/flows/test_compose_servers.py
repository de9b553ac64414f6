"""The servers of compose.yaml by their own commands: a registry that moves, and a worker that runs a deployment."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from local_servers import LOOPBACK, ROOT, answers, free_ports, listeners, quiet_environment, wait_until

pytestmark = pytest.mark.xdist_group("local servers")
SERVICES: dict[str, dict] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
MODEL = """
import mlflow

def lengths(model_input: list[str]) -> list[int]:
    return [len(text) for text in model_input]

mlflow.models.set_model(lengths)
"""
REGISTER = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="model", python_model="model.py", pip_requirements=["mlflow"], registered_model_name="lengths"
    )
mlflow.MlflowClient().set_registered_model_alias("lengths", "champion", 1)
"""
LOAD = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print("predicted", mlflow.pyfunc.load_model("models:/lengths@champion").predict(["four", "sixsix"]))
"""


def test_a_registry_that_moved_is_still_pulled_from_through_its_server(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "another folder"
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    for folder in (before, writer, reader):
        folder.mkdir()
    (writer / "model.py").write_text(MODEL, encoding="utf-8")
    with mlflow_server(before) as address:
        run(writer, "-c", REGISTER, address)
    shutil.move(before, after)
    shutil.rmtree(writer)
    with mlflow_server(after) as address:
        assert run(reader, "-c", LOAD, address).splitlines()[-1] == "predicted [4, 6]"
        port = address.rpartition(":")[2]
        assert listeners(int(port)) == {LOOPBACK}
        experiments = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
        assert answers(experiments) == 200
        assert answers(experiments, host=f"mlflow:{port}") == 200, "the name that containers call it by"
        assert answers(experiments, host="elsewhere.example.org") == 403
    assert not before.exists()


@contextmanager
def mlflow_server(folder: Path) -> Generator[str]:
    """MLflow by the command of compose.yaml, with another folder, port and, so that it stays here, address."""
    port = free_ports(1)[0]
    command = SERVICES["mlflow"]["command"]
    for old, new in (("0.0.0.0", "127.0.0.1"), ("5000", str(port)), ("--workers 2", "--workers 1")):
        assert old in command
        command = command.replace(old, new)
    words = [word.replace("/cache/mlflow", str(folder)) for word in shlex.split(command)]
    with started(words, folder.parent, **SERVICES["mlflow"]["environment"]):
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/health") == 200)
        yield address


@contextmanager
def started(words: list[str], folder: Path, **own: str) -> Generator[None]:
    """A command of a service, as a process with its children."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", *words),
            cwd=folder,
            env=quiet_environment(**own),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(300)


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, and return what it printed."""
    done = subprocess.run(
        (sys.executable, *arguments),
        cwd=folder,
        env=quiet_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
