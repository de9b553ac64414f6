"""A real Prefect server with its scheduler, once for all tests, and the questions that tests ask it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack
from uuid import UUID

import psutil
import pytest
from local_servers import free_ports
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from tiny_pipeline import TinyPipeline, make_tiny_pipeline, tool_environment

from flows import servers
from flows.outcome import Outcome, PipelineFailed
from flows.pipeline import distilflow
from flows.ui import prefect_server


class Parameters(TypedDict, total=False):
    """Parameters of the flow."""

    datasets: list[str]
    overrides: list[str]
    parallel: int


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of its API, with a database of its own."""
    folder = tmp_path_factory.mktemp("prefect")
    made = prefect_server(free_ports(1)[0])
    made = replace(
        made,
        folder=folder,
        environment={
            **made.environment,
            "PREFECT_HOME": str(folder),
            # Schedules of a few seconds are looked at every few seconds.
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        },
    )
    with servers.running(made) as process:
        servers.wait_for_answer(made, process, threading.Event())
        address = f"{made.address}/api"
        yield address
        # What this process still has to tell the server; at exit it would look for it for a minute.
        with temporary_settings(updates={PREFECT_API_URL: address}):
            APILogWorker.instance().drain()
            EventsWorker.drain_all()


@pytest.fixture
def api(server: str) -> Iterator[SyncPrefectClient]:
    """Flows that run in this process use the server; a client to ask it."""
    with temporary_settings(updates={PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        yield client


@dataclass(frozen=True)
class FirstRun:
    """The first run of a tiny pipeline."""

    tiny: TinyPipeline
    outcome: Outcome
    run: FlowRun


@pytest.fixture(scope="session")
def first(server: str, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """A tiny pipeline in which everything ran, by the flow."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("first") / "tiny")
    with (
        contextlib.chdir(made.root),
        temporary_settings(updates={PREFECT_API_URL: server}),
        get_client(sync_client=True) as client,
    ):
        outcome, flow_run = run(client, parallel=4)
    return FirstRun(made, outcome, flow_run)


@pytest.fixture
def tiny(first: FirstRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyPipeline:
    """A copy of it, in whose folder the test works."""
    root = tmp_path / "tiny"
    shutil.copytree(first.tiny.root, root, symlinks=True)
    monkeypatch.chdir(root)
    return TinyPipeline(root)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyPipeline:
    """A pipeline of one stage for four datasets, in whose folder the test works. Nothing has run."""
    datasets = ("north", "east", "south", "west")
    made = make_tiny_pipeline(tmp_path / "sources", datasets=datasets, stages=("source",))
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("DISTILFLOW_RETRY_DELAY", "0")
    return made


def run(api: SyncPrefectClient, **parameters: Unpack[Parameters]) -> tuple[Outcome, FlowRun]:
    """Run the flow here; the outcome, and the run as the server has it."""
    started: list[UUID] = []

    # Not "the last run": runs that are scheduled for later sort as later ones.
    def remember(flow: Flow, flow_run: FlowRun, state: State) -> None:
        started.append(flow_run.id)

    try:
        outcome = distilflow.with_options(on_running=[remember])(**parameters)
    except PipelineFailed as failure:
        outcome = failure.outcome
    assert isinstance(outcome, Outcome)
    return outcome, api.read_flow_run(started[0])


def states(outcome: Outcome) -> dict[str, set[str]]:
    """The names of the stages by the state in which they ended."""
    found: dict[str, set[str]] = {}
    for stage in outcome.stages:
        found.setdefault(stage.state, set()).add(stage.name)
    return found


def task_runs(api: SyncPrefectClient, run: FlowRun, count: int) -> dict[str, TaskRun]:
    """The tasks of a run by their names, once the server has noted the end of so many."""

    def ended() -> dict[str, TaskRun]:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        found = api.read_task_runs(flow_run_filter=of_run, sort=TaskRunSort.END_TIME_DESC, limit=100)
        return {one.name: one for one in found if one.state and one.state.is_final()}

    wait_until(lambda: len(ended()) >= count, f"{count} ended tasks of {run.name}")
    return ended()


def page_of(api: SyncPrefectClient, flow_run: FlowRun) -> str:
    """The summary on the page of a run."""
    of_run = {"artifacts": {"flow_run_id": {"any_": [str(flow_run.id)]}, "type": {"any_": ["markdown"]}}}
    found = api._client.post("/artifacts/filter", json=of_run).json()
    return found[0]["data"]


def open_runs(api: SyncPrefectClient) -> list[FlowRun]:
    """The runs that are at work, as the server has it."""
    at_work = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    return api.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=at_work)))


def wait_until(true: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Look until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def flows_process(
    tiny: TinyPipeline, *arguments: str, environment: Mapping[str, str]
) -> Generator["subprocess.Popen[str]"]:
    """`python -m flows ...` in a session of its own, as a terminal would start it; it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        cwd=tiny.root,
        env=tool_environment() | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def still_alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run, half a minute after they should have ended."""
    return psutil.wait_procs(list(processes), timeout=30)[1]
