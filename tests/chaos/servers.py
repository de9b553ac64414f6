"""MLflow's and Prefect's servers and the process of a flow, killed; and flows beside a queued experiment."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from random import Random

from tests.chaos.kills import Outcome
from tests.chaos.pipelines import LONGEST, Pipeline, compared, forget, is_clear, kill, registered, start
from tests.pipeline.workspace import Workspace, environment

LOOPBACK = "127.0.0.1"
RESULTS = ("split", "teacher", "signals", "student")


def checks(pipeline: Pipeline, random: Random) -> Iterator[Callable[[], Outcome]]:
    """To be run one after another."""
    yield lambda: mlflow_server_killed(pipeline, random)
    yield lambda: flow_killed(pipeline, random)
    yield lambda: prefect_server_killed(pipeline, random)
    yield lambda: flows_and_an_experiment_at_once(pipeline)


@contextlib.contextmanager
def serving(command: list[str], port: int, health: str, **extra: str) -> Generator["subprocess.Popen[bytes]"]:
    """A server that answers; it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--host", LOOPBACK, "--port", str(port)],
        env=environment() | extra,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(f"http://{LOOPBACK}:{port}{health}")
        yield process
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL a server and all its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def mlflow_server_killed(pipeline: Pipeline, random: Random) -> Outcome:
    """The server dies while a student is registered: one line, and the next registration on the server is whole."""
    name, workspace, port = "MLflow's server killed during register", pipeline.workspace, _free_port()
    folder = workspace.root / "server"
    folder.mkdir(exist_ok=True)
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    server = (["mlflow", "server", "--workers", "1", *store], port, "/health")
    address = {"MLFLOW_TRACKING_URI": f"http://{LOOPBACK}:{port}"}
    with serving(*server) as process:
        registering = start(workspace, "python", "-m", "tasks.register", **address)
        time.sleep(random.uniform(3, 10))
        stop(process)
        said, _ = registering.communicate(timeout=LONGEST)
    if "Traceback" in said:
        return Outcome(name, False, 1, said=said)
    with serving(*server):
        again = workspace.run("python", "-m", "tasks.register", check=False, **address)
    if again.returncode:
        return Outcome(name, False, 1, said=again.stdout)
    wrong = registered(folder / "mlflow.db")
    return Outcome(name, not wrong, 1, said=wrong)


def flow_killed(pipeline: Pipeline, random: Random) -> Outcome:
    """SIGKILL to the process that runs a flow, and to its stage: the next run completes, and nothing is done twice."""
    name, workspace = "a flow's worker killed during a stage", pipeline.workspace
    forget(workspace)
    hit = kill(start(workspace, *_flow(workspace)), random.uniform(0.8, 1.5) * pipeline.seconds, group=True)
    return _completed(name, pipeline, int(hit))


def prefect_server_killed(pipeline: Pipeline, random: Random) -> Outcome:
    """Prefect's server dies while a flow runs: the flow ends, and the next one completes."""
    name, workspace, port = "Prefect's server killed during a flow", pipeline.workspace, _free_port()
    forget(workspace)
    own = {"PREFECT_HOME": str(workspace.root / "prefect server"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with serving(["prefect", "--no-prompt", "server", "start"], port, "/api/health", **own) as process:
        flow = start(workspace, *_flow(workspace), PREFECT_API_URL=f"http://{LOOPBACK}:{port}/api")
        time.sleep(random.uniform(0.8, 1.5) * pipeline.seconds)
        stop(process)
        try:
            flow.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(flow.pid, signal.SIGKILL)
            return Outcome(name, False, 1, said=f"the flow still hangs {LONGEST} s after its server's death")
    return _completed(name, pipeline, 1)


def flows_and_an_experiment_at_once(pipeline: Pipeline) -> Outcome:
    """Two flows and a queued experiment beside each other: each succeeds, or stops with one clear error."""
    name, workspace = "two flows and dvc exp run --queue at once", pipeline.workspace
    forget(workspace)
    workspace.dvc("exp", "run", "--queue", "--set-param", "student.epochs=3", pipeline.chain)
    flows = [start(workspace, *_flow(workspace)) for _ in range(2)]
    workspace.dvc("queue", "start", "--jobs", "1")
    for process in flows:
        said, _ = process.communicate(timeout=LONGEST)
        if process.returncode and not is_clear(said):
            return Outcome(name, False, said=f"a flow ended with {process.returncode} and no clear error:\n{said}")
    end = time.monotonic() + LONGEST
    while "Success" not in (status := workspace.dvc("queue", "status")):
        if "Failed" in status or time.monotonic() > end:
            return Outcome(name, False, said=f"the experiment did not succeed:\n{status}")
        time.sleep(2)
    return _completed(name, pipeline, 0)


def _flow(workspace: Workspace) -> list[str]:
    """The stages of the chain, as a flow."""
    return ["python", "-m", "flows", "run", "--datasets", workspace.datasets[0], "--methods", "finetune"]


def _completed(name: str, pipeline: Pipeline, kills: int) -> Outcome:
    """Run the flow to its end, and once more: that one runs nothing; the results are those of an undisturbed run."""
    workspace = pipeline.workspace
    done = workspace.run(*_flow(workspace), check=False)
    if done.returncode:
        return Outcome(name, False, kills, said=f"the next flow ended with {done.returncode}:\n{done.stdout}")
    before = {path: path.stat().st_mtime_ns for stage in RESULTS for path in workspace.output(stage).rglob("*.json")}
    workspace.run(*_flow(workspace))
    if any(path.stat().st_mtime_ns != time_ns for path, time_ns in before.items()):
        return Outcome(name, False, kills, said="a second flow did something again")
    return compared(name, pipeline, kills)


def _wait_for(address: str) -> None:
    """Until a server answers. Raises TimeoutError after three minutes."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"{address} does not answer")


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return probe.getsockname()[1]
