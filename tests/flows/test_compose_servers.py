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
from other_origin import assert_mlflow_is_closed, assert_prefect_is_closed, basic, post

pytestmark = pytest.mark.xdist_group("local servers")
SERVICES: dict[str, dict] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
# As in the image: its programs are found, and `flows` lies in the folder that commands run in.
TOOLS = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", "PYTHONPATH": str(ROOT)}
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
        assert_mlflow_is_closed(address)
    assert not before.exists()


def test_prefect_by_its_secret_is_closed_to_web_pages_and_the_worker_gets_in(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    api = f"http://127.0.0.1:{port}/api"
    secret = tmp_path / "prefect_auth"
    secret.write_text("distilflow:of the box\n", encoding="utf-8")
    own = {**TOOLS, "DISTILFLOW_AUTH_FILE": str(secret), "PREFECT_HOME": str(tmp_path / "home")}
    server = {**own, **{key: on_port(text, port) for key, text in SERVICES["prefect"]["environment"].items()}}
    worker = {**own, "PREFECT_API_URL": api}
    with started(of_service("prefect", port), tmp_path, **server):
        wait_until(lambda: answers(f"{api}/health") == 200)
        assert_prefect_is_closed(api, "distilflow:of the box")
        with started(of_service("worker", port), tmp_path, **worker):
            wait_until(lambda: "ONLINE" in asked(f"{api}/work_pools/desk/workers/filter", "distilflow:of the box"))
        # As `docker compose exec worker ...` of its first lines.
        run(tmp_path, "-m", "flows.auth_string", "prefect", "--no-prompt", "deployment", "ls", **worker)
    assert SERVICES["worker"]["environment"]["PREFECT_API_URL"] == "http://prefect:4200/api"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("", "no auth string"), ("a\nb", "no auth string")]
)
def test_no_service_of_prefect_starts_without_the_secret(tmp_path: Path, content: str | None, said: str) -> None:
    secret = tmp_path / "prefect_auth"
    if content is not None:
        secret.write_text(content, encoding="utf-8")
    for name in ("prefect", "worker", "worker-gpu"):
        assert SERVICES[name]["secrets"] == ["prefect_auth"]
        words = of_service(name, 9)
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=quiet_environment(DISTILFLOW_AUTH_FILE=str(secret), **TOOLS),
            text=True,
            capture_output=True,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"python -m flows.auth_string: {secret}: ") and said in done.stderr


def asked(address: str, auth_string: str) -> str:
    """The answer to a filter that lets everything through."""
    return post(address, {}, Authorization=basic(auth_string), Content_Type="application/json")[1]


def of_service(name: str, port: int) -> list[str]:
    """The command of a service of Prefect, on another port, and so that it stays here, address."""
    words = shlex.split(SERVICES[name]["command"])
    assert words[:3] == ["python", "-m", "flows.auth_string"]
    return [sys.executable, *("127.0.0.1" if word == "0.0.0.0" else on_port(word, port) for word in words[1:])]


def on_port(text: str, port: int) -> str:
    return text.replace("4200", str(port))


@contextmanager
def mlflow_server(folder: Path) -> Generator[str]:
    """MLflow by the command of compose.yaml, with another folder, port and, so that it stays here, address."""
    port = free_ports(1)[0]
    command = SERVICES["mlflow"]["command"]
    for old, new in (("0.0.0.0", "127.0.0.1"), ("5000", str(port)), ("--workers 2", "--workers 1")):
        assert old in command
        command = command.replace(old, new)
    words = [word.replace("/cache/mlflow", str(folder)) for word in shlex.split(command)]
    with started([sys.executable, "-m", *words], folder.parent, **SERVICES["mlflow"]["environment"]):
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/health") == 200)
        yield address


@contextmanager
def started(words: list[str], folder: Path, **own: str) -> Generator[None]:
    """A command of a service, as a process with its children."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            words,
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
        try:
            process.wait(30)
        except (
            subprocess.TimeoutExpired
        ):  # as Docker does: Prefect's worker, told to stop on its way up, stays now and then
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(folder: Path, *arguments: str, **own: str) -> str:
    """Run Python in a folder, and return what it printed."""
    done = subprocess.run(
        (sys.executable, *arguments),
        cwd=folder,
        env=quiet_environment(**own),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
