"""The runner of one stage: `dvc repro -s STAGE` in its own process group, its output streamed.

The result is read from what DVC prints. Stopping a runner ends every process under it, and only then returns.
"""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Literal, Protocol, cast

from flows import rwlock
from flows.dvc_adapter import repro
from flows.orphan_guard import Guard
from flows.process_groups import end_groups
from flows.settings import stage_environment
from paths import TRIAL

TAIL = 30
PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds between attempts on a path that another process holds; the last one repeats
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Failures that may pass by themselves. A wrong value ends a stage with status 2, a network's failure sometimes does too.
TRANSIENT = re.compile(
    r"connection (reset|refused|aborted|error|timed out)|connect timeout|read timed out|timed? ?out(?! value)"
    r"|temporary failure in name resolution|name or service not known|network is unreachable|no route to host"
    r"|remote end closed|max retries exceeded|too many requests|bad gateway|service unavailable|gateway time-?out"
    r"|\b(429|502|503|504) (client|server) error",
    re.IGNORECASE,
)
Log = Callable[[str], None]


@dataclass(frozen=True)
class StageResult:
    """The result of a successful stage."""

    outcome: Literal["ran", "restored", "unchanged"]
    """Its command ran, DVC took its outputs from the cache, or nothing had changed."""
    seconds: float
    note: str = ""
    """The machine that it ran on if it was sent to one, or where a result came from."""


class StageFailed(RuntimeError):
    """A stage whose command failed, or that DVC could not start; holds its last lines."""

    def __init__(self, name: str, status: int, tail: tuple[str, ...]) -> None:
        self.name, self.status, self.tail = name, status, tail
        super().__init__(f"{name} ended with status {status}. Its last lines:\n" + "\n".join(tail))

    @property
    def is_transient(self) -> bool:
        """True if a retry can help: the last lines show a network failure."""
        return any(TRANSIENT.search(line) for line in self.tail)


class StageStopped(RuntimeError):
    """A stage that was stopped from outside, or not started because of that."""


class StageRunner(Protocol):
    """The interface of a runner, as the tasks of a run see it; several threads use it."""

    @property
    def stopping(self) -> threading.Event:
        """Set once `stop` was called."""
        ...

    def run(self, name: str, log: Log) -> StageResult:
        """Bring one stage up to date. Raises StageFailed, or StageStopped after `stop`."""
        ...

    def stop(self) -> None:
        """End all that runs; no further stage starts."""
        ...


@dataclass
class Runner:
    """Runner of the stages of the repository in `root`. Thread-safe."""

    root: Path
    trial: str = ""
    """The other values of a run that has some: `register` then makes no versions."""
    patience: float = 6 * 3600.0
    """Seconds to wait for a path that another process uses."""
    stopping: threading.Event = field(default_factory=threading.Event)
    _processes: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _guard: Guard = field(default_factory=Guard)

    def run(self, name: str, log: Log) -> StageResult:
        """Run one stage without its upstream stages. Raises StageFailed, or StageStopped after `stop`.

        Args:
            name: DVC's address of the stage.
            log: gets each line that DVC and the stage print, without what a progress bar overwrote.
        """
        deadline = time.monotonic() + self.patience
        pauses = chain(PAUSES, repeat(PAUSES[-1]))
        repaired = waits = False
        while True:
            start = time.monotonic()
            status, output = self._attempt(name, log)
            if self.stopping.is_set():
                raise StageStopped(f"{name}: stopped")
            if status == 0:
                return StageResult(output.outcome, time.monotonic() - start)
            if output.rwlock_unreadable and not repaired:
                repaired = True
                if done := rwlock.repair(self.root):
                    log(done)
                continue
            if not output.busy or time.monotonic() > deadline:
                break
            if not waits:
                waits = True
                log(f"waits: {output.busy}")
            self.stopping.wait(next(pauses))
        output.flush(log)
        raise StageFailed(name, output.exited or status, tuple(output.tail))

    def stop(self) -> None:
        """Terminate all processes of all stages with their descendants; no further stage starts."""
        with self._lock:
            self.stopping.set()
            groups = {process.pid for process in self._processes}
        end_groups(groups)
        self._guard.close()

    def _attempt(self, name: str, log: Log) -> "tuple[int, _StageOutput]":
        output = _StageOutput(name)
        with self._lock:
            if self.stopping.is_set():
                return -signal.SIGINT, output
            process = self._start(name)
            self._processes.add(process)
            self._guard.watch(process.pid)
        try:
            for line in clean_lines(cast(IO[bytes], process.stdout)):
                if not self.stopping.is_set():
                    output.add(line, log)
            return process.wait(), output
        finally:
            with self._lock:
                self._processes.discard(process)
                self._guard.forget(process.pid)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return subprocess.Popen(
            repro.repro_command(name),
            cwd=self.root,
            env=stage_environment() | {"PATH": tools, TRIAL: self.trial},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@dataclass
class _StageOutput:
    """The output of `dvc repro -s NAME`. Lines are held back until the command runs: they may only say 'busy'."""

    name: str
    outcome: Literal["ran", "restored", "unchanged"] = "unchanged"
    exited: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    _held: list[str] = field(default_factory=list)

    def add(self, line: str, log: Log) -> None:
        """Keep a line and pass it on, or hold it back."""
        if repro.ADVICE.match(line):
            return
        self.tail.append(line)
        if line.startswith(repro.RUNNING.format(self.name)):
            self.outcome = "ran"
        elif line.startswith(repro.RESTORED.format(self.name)):
            self.outcome = "restored"
        if exited := repro.EXITED.search(line):
            self.exited = int(exited[1])
        self._held.append(line)
        if self.outcome == "ran" or repro.UNCHANGED in line or "is cached" in line:
            self.flush(log)

    def flush(self, log: Log) -> None:
        """Pass on the lines held back."""
        for line in self._held:
            log(line)
        self._held.clear()

    @property
    def rwlock_unreadable(self) -> bool:
        """True if DVC can't read its rwlock file, before or after the command ran."""
        return any(repro.RWLOCK_UNREADABLE.search(line) for line in self.tail)

    @property
    def busy(self) -> str:
        """DVC's line that another process uses a path, if that is why the stage was not started."""
        if self.outcome == "ran":
            return ""
        return next((line for line in self.tail if repro.BUSY.search(line)), "")


def clean_lines(stream: IO[bytes]) -> Iterator[str]:
    """Readable lines of a stream: the last state of a progress bar, no colours, no empty lines."""
    with io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="\n") as text:
        for line in text:
            states = (state.rstrip() for state in reversed(ESCAPES.sub("", line).split("\r")))
            if shown := next(filter(None, states), ""):
                yield shown
