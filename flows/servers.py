"""Servers on this machine: started together, watched, and stopped together with their children.

Each server is a process in a session of its own, so that one signal reaches it and its children, and Ctrl-C reaches
nobody but this process, which then stops them in order.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from errors import UserError
from flows.file_locks import locked
from flows.orphan_guard import Guard
from flows.process_groups import end_groups
from flows.signal_handlers import as_event

LOOPBACK = "127.0.0.1"
PATIENCE = 180.0  # seconds until a server answers; with a fresh database and a busy machine it takes tens
PAUSE = 0.3
SIGNALS = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 15.0))  # seconds to wait for each
LAST_LINES = 15


@dataclass(frozen=True)
class Server:
    """A server: its command and its address."""

    name: str
    command: tuple[str, ...]
    port: int
    option: str
    """Option of the command line that sets the port."""
    health: str
    """Path that returns 200 once the server is up."""
    folder: Path
    """Working folder, also of the log file."""
    environment: Mapping[str, str] = field(default_factory=dict)
    lock: Path | None = None
    """Lock file held until the server answers, since several processes may open the same fresh database."""
    first: tuple[str, ...] = ()
    """Command to run in the current folder before the server starts; it may take the lock."""

    @property
    def address(self) -> str:
        """The address on this machine."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The file of its output."""
        return self.folder / "server.log"


def serve(servers: Sequence[Server], announce: Callable[[], None]) -> None:
    """Run the servers until a signal; `announce` is called once all of them answer.

    Raises UserError if a port is in use (nothing is started then) or if a server ends by itself (the others are
    stopped then).
    """
    for server in servers:
        _check_port(server)
    with as_event() as stop, contextlib.ExitStack() as all_of_them:
        for server in servers:
            _run_first(server, stop)
        with contextlib.ExitStack() as opening:
            for server in servers:
                if server.lock:
                    opening.enter_context(locked(server.lock, stop))
            started = [(server, all_of_them.enter_context(running(server))) for server in servers]
            for server, process in started:
                wait_for_answer(server, process, stop)
        if not stop.is_set():
            announce()
        while not stop.wait(PAUSE):
            for server, process in started:
                _check_alive(server, process)


def _check_port(server: Server) -> None:
    """Raise UserError unless the port is free."""
    try:
        socket.create_server((LOOPBACK, server.port)).close()
    except OSError as error:
        raise UserError(
            f"{server.option} {server.port}: {server.name} can't listen on {LOOPBACK}:{server.port} "
            f"({os.strerror(error.errno or 0)}); end what listens there, or choose another port with {server.option}"
        ) from None


def _run_first(server: Server, stop: threading.Event) -> None:
    """Run a server's preparation. Raises UserError with its last line if it fails."""
    if not server.first or stop.is_set():
        return
    process = subprocess.Popen(
        server.first,
        env=dict(server.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while process.poll() is None and not stop.is_set():
            stop.wait(PAUSE)
    finally:
        end_groups({process.pid}, SIGNALS, process.poll)
    _, stderr = process.communicate()
    if process.returncode and not stop.is_set():
        lines = stderr.decode(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
        raise UserError(f"{server.name}: {lines[-1]}")


@contextlib.contextmanager
def running(server: Server) -> Generator["subprocess.Popen[bytes]"]:
    """Start the server; stop it with all its children at the end, even if this process is killed."""
    server.folder.mkdir(parents=True, exist_ok=True)
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            server.command,
            cwd=server.folder,
            env=dict(server.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    guard = Guard()
    try:
        guard.watch(process.pid)
        yield process
    finally:
        end_groups({process.pid}, SIGNALS, process.poll)
        guard.forget(process.pid)
        guard.close()


def wait_for_answer(server: Server, process: "subprocess.Popen[bytes]", stop: threading.Event) -> None:
    """Return once the server answers, or once `stop` is set."""
    end = time.monotonic() + PATIENCE
    while not stop.is_set() and not _answers(server):
        _check_alive(server, process)
        if time.monotonic() > end:
            raise UserError(f"{server.name} gave no answer within {PATIENCE:.0f} s\n{_last_lines(server)}")
        stop.wait(PAUSE)


def _answers(server: Server) -> bool:
    """Return whether the server reports that it is up."""
    try:
        with urllib.request.urlopen(server.address + server.health, timeout=5) as answer:  # noqa: S310 (http, loopback)
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _check_alive(server: Server, process: "subprocess.Popen[bytes]") -> None:
    """Raise UserError if the server has ended."""
    if process.poll() is not None:
        raise UserError(f"{server.name} ended by itself (status {process.returncode})\n{_last_lines(server)}")


def _last_lines(server: Server) -> str:
    """The end of the server's log, with its path."""
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join([f"The end of {server.log}:", *(f"  {line}" for line in lines)])
