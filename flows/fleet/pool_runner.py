"""The runner of a run with pools: a stage goes to a worker, or is run in the parent; its result is merged into dvc.lock.

Work is done at least once, and one result counts (flows/fleet/values.py). No outputs come to the parent but those that a
stage reads that runs there.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect.client.schemas.objects import FlowRun, StateType

from errors import UserError
from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.dvc_adapter.remote_files import RemoteFiles
from flows.filters import WHOLE
from flows.fleet import tickets
from flows.fleet.durations import note_seconds
from flows.fleet.merging import Merging
from flows.fleet.messages import read_failure, read_result
from flows.fleet.placement import Placement
from flows.fleet.poller import Poller, Watched
from flows.fleet.queues import Pool
from flows.fleet.submission import ENDED, WITH_ITS_RUN, Submission
from flows.fleet.values import Value
from flows.graph import Node
from flows.runner import Log, Runner, StageFailed, StageResult, StageStopped

ATTEMPTS = 3
"""Times that a stage is sent if its machine is lost or its process crashes."""


@dataclass
class PoolRunner:
    """Brings stages of the repository in `root` up to date, from several threads."""

    root: Path
    here: Runner
    """Runs what stays in the parent."""
    nodes: dict[str, Node]
    recorded: RecordedRuns
    files: RemoteFiles
    placement: Placement
    commit: str
    """The snapshot."""
    submission: Submission
    poller: Poller
    merging: Merging
    slots: threading.Semaphore
    """For stages in the parent."""
    warn: Callable[[str], None]

    @property
    def stopping(self) -> threading.Event:
        """Set once `stop` was called."""
        return self.here.stopping

    def run(self, name: str, log: Log) -> StageResult:
        """Bring one stage up to date. Raises StageFailed, or StageStopped after `stop`.

        Args:
            name: DVC's address of the stage; all that it needs are up to date.
            log: gets each line that DVC and the stage print, wherever they run.
        """
        try:
            pool = self.placement.pool_of(self.nodes[name])
            return self._run_here(name, log) if pool is None else self._run_there(name, pool, log)
        except UserError as error:
            log(str(error))
            raise StageFailed(name, 2, (str(error),)) from None

    def stop(self) -> None:
        """End all stages of this run here and on workers; no further one starts."""
        self.stopping.set()
        told = self.submission.cancel(self.warn)
        self.here.stop()
        self.submission.wait_for_end(told, self.warn)
        self.poller.stop()

    # --- in the parent

    def _run_here(self, name: str, log: Log) -> StageResult:
        with self._slot():
            key, start = self.recorded.key(name), time.monotonic()
            if key and (value := self._known(name, key)):
                done = self._take(name, value, start)
                self.recorded.fetch_outputs(name)
                return done
            if self.nodes[name].always:  # it may read more than it declares: DVC compares nothing of it
                for need in self.recorded.before(name):
                    self.recorded.fetch_outputs(need)
            self.recorded.fetch_inputs(name)
            done = self.here.run(name, log)
            self.recorded.reload(name)
            self.recorded.push([name])
            own = self.recorded.recorded_names(name)
            value = self._counted(*own) if own else None
            if own and value and value.name != own[1]:
                log(f"another run has counted the result {value.name} of this key; it replaces the one of this machine")
                self._take(name, value, start)
                self.recorded.fetch_outputs(name)
        note_seconds(self.root, name, done.seconds if done.outcome == "ran" else None)
        return done

    @contextmanager
    def _slot(self) -> Generator[None]:
        while not self.slots.acquire(timeout=0.5):
            if self.stopping.is_set():
                raise StageStopped("stopped while it waited")
        try:
            yield
        finally:
            self.slots.release()

    # --- on a worker

    def _run_there(self, name: str, pool: Pool, log: Log) -> StageResult:
        key, start = self.recorded.key(name), time.monotonic()
        if key is None:
            raise UserError(
                f"{name}: what it reads is recorded in dvc.lock, but neither in DVC's cache nor on the remote"
            )
        if value := self._known(name, key):
            return self._take(name, value, start)
        self.recorded.push(self.recorded.before(name))
        tickets.write(self.files, self._ticket(name, key))
        crashes, attempt = 0, 0
        while crashes < ATTEMPTS:
            attempt += 1
            if self.stopping.is_set():
                raise StageStopped(f"{name}: stopped")
            run = self.submission.send(pool, name, self.commit, key, attempt)
            if run.state_type in ENDED and not (run.state_type == StateType.COMPLETED and self._counted(key)):
                continue  # of an earlier run, whose result is gone or which had none
            log(f"sent to pool {pool} as {run.name} (flow run {run.id})")
            if done := self._outcome(self._wait(run, log), name, key, start, log):
                return done
            crashes += 1
        raise StageFailed(name, 1, (f"{name}: lost {crashes} times on pool {pool}; the last: flow run {run.id}",))

    def _wait(self, run: FlowRun, log: Log) -> Watched:
        watched = self.poller.watch(run, log)
        while not watched.ended.wait(0.5):
            if self.stopping.is_set():
                raise StageStopped("the run was stopped")
        return watched

    def _outcome(self, watched: Watched, name: str, key: str, start: float, log: Log) -> StageResult | None:
        """The result of a child that has ended; None if it is to be sent again. Raises StageFailed and StageStopped."""
        run, message = watched.run, (watched.run.state.message if watched.run.state else "") or ""
        if self.stopping.is_set():
            raise StageStopped(f"{name}: stopped")
        if watched.lost or run.state_type == StateType.CRASHED:
            log(f"lost: {watched.lost or message or 'its process ended without a word'}")
            return None
        if run.state_type == StateType.FAILED:
            failure = read_failure(message)
            raise StageFailed(name, failure.status, failure.tail)
        if run.state_type == StateType.CANCELLED:
            if message == WITH_ITS_RUN:
                log("cancelled with another run that had sent it")
                return None
            raise StageStopped(f"{name}: cancelled in Prefect")
        result = read_result(message)
        value = self._counted(key, result.value if result else None)
        if value is None:
            log("it ended, but its result is not on the remote")
            return None
        if result is None:
            return self._take(name, value, start)
        if value.name != result.value:
            log(f"its result {result.value} is not counted: {value.name} was merged before")
        self._merge(name, value)
        note_seconds(self.root, name, result.seconds if result.outcome == "ran" else None)
        rest = time.monotonic() - start - result.seconds
        log(
            f"{result.seconds:.1f} s on {result.machine}; {rest:.1f} s until a worker was free and for the way there and back"
        )
        return StageResult(result.outcome, result.seconds, f"on {result.machine}")

    def _ticket(self, name: str, key: str) -> tickets.Ticket:
        entries = {need: entry for need in self.recorded.before(name) if (entry := self.recorded.entry(need))}
        return tickets.Ticket(name, self.commit, key, entries, self.here.trial)

    # --- results

    def _known(self, name: str, key: str) -> Value | None:
        """The result of a key that is on the remote, or that this machine has and puts there."""
        if found := self._counted(key):
            return found
        own = self.recorded.recorded_names(name)
        if own is None or own[0] != key:
            return None
        self.recorded.push([name])
        return self._counted(*own)

    def _counted(self, key: str, preferred: str | None = None) -> Value | None:
        return self.merging.counted(key, preferred)

    def _take(self, name: str, value: Value, start: float) -> StageResult:
        """Take a result that is on the remote."""
        unchanged = self.recorded.entry(name) == value.entry
        self._merge(name, value)
        if unchanged:
            return StageResult("unchanged", time.monotonic() - start)
        return StageResult("restored", time.monotonic() - start, "its result was on the remote")

    def _merge(self, name: str, value: Value) -> None:
        self.merging.merge(name, value.entry)
        if self.nodes[name].stage == WHOLE:
            self.recorded.fetch_outputs(name)  # for people: they look for it here
