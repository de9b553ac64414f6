"""Cancellation of a run started in a terminal: a thread polls the server and stops the stages.

Prefect's runner and workers do that for the runs that they start. A run of `python -m flows run` has neither, and would
stay "Cancelling" while it trains on.
"""

import contextvars
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectException

PERIOD = 2.0  # seconds from one question to the next
PATIENCE = 10.0
# Is "false" in the environment of what a runner or a worker starts: it sees to the cancelling itself.
CANCELS_BY_ITSELF = "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"


@contextmanager
def cancellable(run_id: UUID | str | None, stop: Callable[[], None]) -> Generator[threading.Event]:
    """An event set once the run is cancelled on the server; `stop` is then called in another thread."""
    cancelled, ended = threading.Event(), threading.Event()
    if run_id is None or started_by_prefect():
        yield cancelled
        return

    def watch() -> None:
        with own_client() as client:
            while not ended.wait(PERIOD):
                if is_cancelled(client, UUID(str(run_id))):
                    cancelled.set()
                    stop()
                    return

    # The address of the server may be a setting of this context only.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(watch,), name="cancelling", daemon=True)
    thread.start()
    try:
        yield cancelled
    finally:
        ended.set()
        thread.join(PERIOD)  # a server that is away is asked for longer than that


def was_cancelled(run_id: UUID | str | None) -> bool:
    """Return whether a run is cancelled on the server."""
    if run_id is None:
        return False
    with own_client() as client:
        return is_cancelled(client, UUID(str(run_id)))


def own_client() -> SyncPrefectClient:
    """A client of its own for a thread: with other settings than the flow's it is another one."""
    return get_client(httpx_settings={"timeout": PATIENCE}, sync_client=True)


def started_by_prefect() -> bool:
    """Return whether a Prefect runner or worker started this process and handles cancellation."""
    return os.environ.get(CANCELS_BY_ITSELF, "true").lower() == "false"


def is_cancelled(client: SyncPrefectClient, run_id: UUID) -> bool:
    try:
        state = client.read_flow_run(run_id).state
    except (PrefectException, httpx.HTTPError):
        return False  # a server that is away, or a run that was deleted, ends no training
    return state is not None and (state.is_cancelling() or state.is_cancelled())
