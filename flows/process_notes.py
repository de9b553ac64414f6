"""Notes of the processes behind flow runs and servers: what a killed one left is found by its note.

A note is .dvc/tmp/flows/processes/KIND-ID-PID.json with the process's host, boot, number and start. The process also holds a
lock on it for as long as it lives, which the system gives back even after `kill -9`. A process counts as gone only if
both say so: its number is free or another process's now, and its lock can be taken. What another host wrote (a checkout on
a shared disk) is never judged here.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from flows.slots import SLOTS

FOLDER = SLOTS / "processes"
BOOT = Path("/proc/sys/kernel/random/boot_id")
STARTED = 18  # of the fields of /proc/PID/stat after the state: clock ticks from boot to the start of the process
Kind = Literal["run", "server", "serve"]


@dataclass(frozen=True)
class ProcessId:
    """A process as no other one will ever be named."""

    host: str
    boot: str
    pid: int
    started: int

    @property
    def lives(self) -> bool:
        """Whether the process still runs; only its own host can tell."""
        return process_id(self.pid) == self


@dataclass(frozen=True)
class Note:
    """A flow run or server and the process behind it."""

    path: Path
    kind: Kind
    id: str
    """Of the flow run, of the deployment that is served, or the number of the server's process group."""
    owner: ProcessId
    server: ProcessId | None = None
    """The process of a server, which may outlive its owner."""

    @property
    def orphaned(self) -> bool:
        """Whether the owner was a process of this host and is gone."""
        return self.owner.host == socket.gethostname() and not self.owner.lives and _is_free(self.path)


def process_id(pid: int) -> ProcessId | None:
    """The identity of a process of this host; None if there is none, or if it has ended and nobody took its status."""
    try:
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    boot = BOOT.read_text(encoding="ascii").strip()
    return None if state in "ZX" else ProcessId(socket.gethostname(), boot, pid, int(fields[STARTED]))


def leave(root: Path, kind: Kind, id: str, server: int | None = None) -> Path:
    """Write a note that is owned by this process until it ends; its path."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{id}-{os.getpid()}.json"
    content = {
        "kind": kind,
        "id": id,
        "owner": _fields(process_id(os.getpid())),
        "server": _fields(process_id(server)) if server else None,
    }
    aside = path.with_suffix(f".{os.getpid()}.new")
    handle = os.open(aside, os.O_RDWR | os.O_CREAT, 0o600)  # stays open: closing it would give the lock back
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, json.dumps(content).encode())
    aside.rename(path)  # it appears whole and locked
    return path


def orphans(root: Path, kind: Kind) -> Iterator[Note]:
    """The notes of this kind whose process is gone."""
    for path in sorted((root / FOLDER).glob(f"{kind}-*.json")):
        note = _read(path)
        if note is not None and note.orphaned:
            yield note


def _read(path: Path) -> Note | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        server = content["server"]
        return Note(
            path,
            content["kind"],
            content["id"],
            ProcessId(**content["owner"]),
            ProcessId(**server) if server else None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fields(process: ProcessId | None) -> dict[str, object] | None:
    return asdict(process) if process else None


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a note any more."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # another one removed it
        return False
    return True
