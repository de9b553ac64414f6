"""Records of the processes behind flow runs, servers and worktrees, for cleaning up after killed ones.

A note is .dvc/tmp/flows/processes/KIND-ID-PID.json with the process's host, number and start, locked by the process for
as long as it lives. A process counts as gone only if both say so: its number is free or another process's now, and its
lock can be taken. Notes of another host (a checkout on a shared disk) are never judged here.
"""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from flows.file_locks import is_free, lock_for_life
from paths import WORKTREES

FOLDER = Path(*WORKTREES, "processes")
CLOCK_S = 2.0
"""Tolerance in seconds between two readings of a start time, for changes of the machine's clock."""
Kind = Literal["run", "server", "serve", "worktree"]


@dataclass(frozen=True)
class ProcessId:
    """A process of a host, identified by pid and start time."""

    host: str
    pid: int
    started: float
    """Seconds since the epoch."""

    @property
    def lives(self) -> bool:
        """True if the process still runs; meaningful on its own host only."""
        now = process_id(self.pid)
        return now is not None and abs(now.started - self.started) < CLOCK_S


@dataclass(frozen=True)
class Note:
    """A flow run, server or worktree and the process behind it."""

    path: Path
    kind: Kind
    id: str
    """Id of the flow run, the served deployment or the worktree, or the server's process group."""
    owner: ProcessId
    server: ProcessId | None = None
    """The process of a server, which may outlive its owner."""

    @property
    def orphaned(self) -> bool:
        """True if the owner was a process of this host and has ended."""
        return self.owner.host == socket.gethostname() and not self.owner.lives and is_free(self.path)


def process_id(pid: int) -> ProcessId | None:
    """The identity of a process of this host; None if there is none, or only a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessId(socket.gethostname(), pid, process.create_time())
    except psutil.Error:
        return None


def write_note(root: Path, kind: Kind, id: str, server: int | None = None) -> Path:
    """Write a note owned by this process until it ends; return its path."""
    path = root / FOLDER / f"{kind}-{id}-{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    owner, served = process_id(os.getpid()), process_id(server) if server else None
    content = {"kind": kind, "id": id, "owner": owner and asdict(owner), "server": served and asdict(served)}
    lock_for_life(path, json.dumps(content))
    return path


def notes(root: Path, kind: Kind) -> Iterator[Note]:
    """The notes of this kind, ordered by file name; unreadable ones are skipped."""
    return filter(None, map(_read, sorted((root / FOLDER).glob(f"{kind}-*.json"))))


def orphans(root: Path, kind: Kind) -> Iterator[Note]:
    """The notes of this kind whose process has ended."""
    return (note for note in notes(root, kind) if note.orphaned)


def _read(path: Path) -> Note | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        server = ProcessId(**content["server"]) if content["server"] else None
        return Note(path, content["kind"], content["id"], ProcessId(**content["owner"]), server)
    except (OSError, ValueError, KeyError, TypeError):
        return None
