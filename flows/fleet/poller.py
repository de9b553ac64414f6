"""One thread that asks the server about all children of a run: their states, signs of life and lines.

A child says every half minute that it lives. The times are this process's own: the clocks of other machines may be wrong,
and while the server does not answer nobody is taken for dead.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import LogSort
from prefect.states import Cancelled, Crashed

from flows.fleet.submission import ENDED

PERIOD = 1.0  # seconds from one question to the next
LONGEST = 30.0  # seconds between questions to a server that does not answer
LOST_S = 90.0
"""Seconds without a sign of life after which a child counts as lost."""
JOINS_S = 5.0  # seconds for the thread to end; a question to a server that is away takes longer
STUCK_S = 300.0
"""Seconds after which a child that a worker took and did not start is given up."""
LINES = 200  # of a child in one answer
LINES_S = 3.0  # seconds from one look for lines to the next

Log = Callable[[str], None]


@dataclass
class Watched:
    """A child that somebody waits for."""

    run: FlowRun
    log: Log
    ended: threading.Event = field(default_factory=threading.Event)
    lost: str = ""
    """The reason why it was given up, if it was."""
    lines: int = 0
    heard: float = field(default_factory=time.monotonic)
    """Time at which its state or its sign of life was last seen to change."""
    asked: float = 0.0
    """Time at which its lines were last looked for."""


@dataclass
class Poller:
    """The thread, which runs from `start` to `stop`."""

    lost_s: float = LOST_S
    stuck_s: float = STUCK_S
    warn: Log = logging.getLogger(__name__).warning
    _watched: dict[UUID, Watched] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        # The address of the server may be a setting of this context only.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._work,), name="fleet poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; who still waits is told that nobody watches any more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOINS_S)
        for one in self._watched.values():
            one.ended.set()

    def watch(self, run: FlowRun, log: Log) -> Watched:
        """Watch a child until it ends or is lost; its `ended` is set then, and its lines go to `log` meanwhile."""
        one = Watched(run, log)
        with self._lock:
            self._watched[run.id] = one
        if self._stopping.is_set():
            one.ended.set()
        return one

    def _work(self) -> None:
        pause, last = PERIOD, time.monotonic()
        with get_client(sync_client=True) as client:
            while not self._stopping.wait(pause):
                with self._lock:
                    now = dict(self._watched)
                if not now:
                    continue
                try:
                    silent = time.monotonic() - last
                    self._look(client, now, forgiven=silent if silent > 5 * PERIOD else 0.0)
                    last, pause = time.monotonic(), PERIOD
                # Whatever it is: without this thread all who wait would do so for ever.
                except Exception as error:
                    if pause == PERIOD:
                        words = " ".join(str(error).split()) or type(error).__name__
                        self.warn(f"Prefect gave no answer about stages on workers, and is asked again: {words}")
                    pause = min(2 * pause, LONGEST)

    def _look(self, client: SyncPrefectClient, watched: dict[UUID, Watched], forgiven: float) -> None:
        chosen = FlowRunFilter.model_validate({"id": {"any_": list(watched)}})
        found = {run.id: run for run in client.read_flow_runs(flow_run_filter=chosen, limit=len(watched))}
        for run_id, one in watched.items():
            one.heard += forgiven
            run = found.get(run_id)
            if run is None:
                one.lost = "it was deleted on the server"
            else:
                if (run.updated, run.state and run.state.id) != (one.run.updated, one.run.state and one.run.state.id):
                    one.heard = time.monotonic()
                one.run = run
                self._give_up_if_lost(client, one)
            over = bool(one.lost) or one.run.state_type in ENDED
            if over or time.monotonic() - one.asked > LINES_S:
                self._pass_lines(client, one)
            if over:
                with self._lock:
                    del self._watched[run_id]
                one.ended.set()

    def _give_up_if_lost(self, client: SyncPrefectClient, one: Watched) -> None:
        silent = time.monotonic() - one.heard
        if one.run.state_type in (StateType.RUNNING, StateType.CANCELLING) and silent > self.lost_s:
            one.lost = f"no sign of life for {silent:.0f} s"
            state = (Crashed if one.run.state_type == StateType.RUNNING else Cancelled)(message=f"Lost: {one.lost}.")
        elif one.run.state_type == StateType.PENDING and silent > self.stuck_s:
            one.lost = f"a worker took it and did not start it for {silent:.0f} s"
            state = Crashed(message=f"Given up: {one.lost}.")
        else:
            return
        client.set_flow_run_state(one.run.id, state, force=True)

    def _pass_lines(self, client: SyncPrefectClient, one: Watched) -> None:
        one.asked = time.monotonic()
        chosen = LogFilter.model_validate({"flow_run_id": {"any_": [one.run.id]}})
        while True:
            found = client.read_logs(chosen, limit=LINES, offset=one.lines, sort=LogSort.TIMESTAMP_ASC)
            one.lines += len(found)
            for line in found:
                if line.name.endswith(OUTPUT):
                    one.log(line.message)
            if len(found) < LINES:
                return


OUTPUT = ".stage"
"""End of the name of the logger by which a child passes on what DVC and the stage print."""
