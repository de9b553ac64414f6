"""The flow of a child run, in a process of a worker: the run's own tree, and in it the job, `python -m flows.fleet.job`.

All but these lines comes from the snapshot: a worker's checkout may be older or newer than the run. Restarted or lost
children do no harm: what a stage writes lies under checksums, and the pin decides which result counts.
"""

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast
from uuid import UUID, uuid4

import httpx
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException, TerminationSignal
from prefect.logging.handlers import APILogWorker
from prefect.logging.loggers import PrefectLogAdapter
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from errors import UserError
from flows.cancelling import is_cancelled, own_client, was_cancelled
from flows.dvc_adapter.remote_files import remote_files
from flows.dvc_adapter.repository import open_unheld, share_cache
from flows.fleet import snapshot
from flows.fleet.messages import ChildFailure, ChildResult, from_json
from flows.fleet.queues import FLOW, MACHINE, RESULT, ROOT
from flows.orphan_guard import Guard
from flows.process_groups import end_groups
from flows.runner import clean_lines
from flows.settings import stage_environment
from flows.slots import claim, release
from flows.stage_task import level_of

BEAT_S = 30.0
LOOK_S = 5.0
PATIENCE = 10.0


@flow(name=FLOW, persist_result=False)
def stage(name: str, commit: str, key: str, attempt: int) -> State:
    """Run one stage in the tree of a snapshot; the state's message holds the result.

    Args:
        name: DVC's address of the stage.
        commit: the snapshot.
        key: in DVC's run cache; also the name of the ticket.
        attempt: from 1.
    """
    run_id = UUID(str(flow_run.get_id()))
    try:
        with _tree(Path(os.environ[ROOT]), commit) as tree:
            end = _run_job(tree, name, key, run_id)
    except UserError as error:
        end = ChildFailure(2, _machine(), (str(error),))
    except TerminationSignal:
        if was_cancelled(run_id):
            return Cancelled(message="cancelled")
        raise
    if end is None:
        return Cancelled(message="cancelled")
    APILogWorker.drain_all(timeout=PATIENCE)  # the lines are on the server before the end is
    return Completed(message=end.text()) if isinstance(end, ChildResult) else Failed(message=end.text())


@contextmanager
def _tree(root: Path, commit: str) -> Generator[Path]:
    """A worktree of the snapshot that shares DVC's cache and settings with the worker's checkout."""
    with open_unheld(root) as repo:
        files = remote_files(repo)
    snapshot.fetch(root, commit, files)
    folder = claim(root, f"stage-{uuid4().hex[:8]}")
    tree = folder / folder.name
    try:
        snapshot.check_out(root, commit, tree)
        share_cache(root, tree)
        yield tree
    finally:
        release(root, folder)


def _run_job(tree: Path, name: str, key: str, run_id: UUID) -> ChildResult | ChildFailure | None:
    """Run the job to its end; None if the run was cancelled."""
    logger = get_run_logger()
    assert isinstance(logger, PrefectLogAdapter)
    output, guard, written = logger.getChild("stage"), Guard(), tree.parent / "result.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.fleet.job", name, key],
        cwd=tree,
        env=_environment() | {RESULT: str(written)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    tail: list[str] = []
    guard.watch(process.pid)
    try:
        with _alive(run_id, process) as cancelled:
            for line in clean_lines(cast(IO[bytes], process.stdout)):
                tail = [*tail[-29:], line]
                output.log(level_of(line), "%s", line)
            status = process.wait()
    finally:
        end_groups({process.pid}, collect=process.poll)
        guard.forget(process.pid)
        guard.close()
    if cancelled.is_set():
        return None
    if written.is_file():
        return from_json(written.read_text(encoding="utf-8"))
    return ChildFailure(status, _machine(), tuple(tail) or ("the job ended without a word",))


@contextmanager
def _alive(run_id: UUID, process: "subprocess.Popen[bytes]") -> Generator[threading.Event]:
    """Say now and then that the child lives, and end the job if the run is cancelled: its worker may be gone."""
    cancelled, ended = threading.Event(), threading.Event()

    def work() -> None:
        looks = 0
        with own_client() as client:
            while not ended.wait(LOOK_S):
                looks += 1
                if is_cancelled(client, run_id):
                    cancelled.set()
                    end_groups({process.pid}, collect=process.poll)
                    return
                if looks % int(BEAT_S / LOOK_S) == 0:
                    try:
                        client.update_flow_run(run_id, tags=client.read_flow_run(run_id).tags)
                    except (PrefectException, httpx.HTTPError):
                        continue  # the stage works on while the server is away

    thread = threading.Thread(target=work, name="sign of life", daemon=True)
    thread.start()
    try:
        yield cancelled
    finally:
        ended.set()
        thread.join(LOOK_S)


def _environment() -> dict[str, str]:
    """A job's environment: it imports the snapshot's modules, none of the worker's checkout."""
    kept = stage_environment()
    others = [part for part in kept.pop("PYTHONPATH", "").split(os.pathsep) if part and part != os.environ[ROOT]]
    return kept | ({"PYTHONPATH": os.pathsep.join(others)} if others else {})


def _machine() -> str:
    return os.environ.get(MACHINE) or platform.node()
