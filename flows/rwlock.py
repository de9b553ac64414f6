"""Repair of DVC's record of readers and writers, `.dvc/tmp/rwlock`, after a crash.

DVC writes that file in place, at the start and the end of every stage, and refuses every command as long as it can't read
it; and it takes a killed process for one at work if another process has its number by now, as it happens in a container
that was started again. Nothing in the file outlives the processes it names, so nothing is lost with it.
"""

import json
from pathlib import Path
from typing import Any

import psutil

from flows.dvc_adapter.repro import RWLOCK, read_rwlock, rwlock_guard

CLOCKS_S = 60.0
"""Tolerance in seconds between a file system's clock and this machine's."""


def repair(root: Path) -> str | None:
    """Repair the file of the repository in `root`; return a line about the repair, or None.

    A file that DVC can't read goes. Of one that it can, an entry goes whose process was started after the file was last
    written: it can't have made it. Held against every DVC process that reads or writes it, so that a file which is being
    written is not taken for a truncated one. It stays as it is if another process holds it for over five seconds, or if
    the disk lets nobody write: the next DVC command says so.
    """
    if not (root / RWLOCK).exists():
        return None
    try:
        with rwlock_guard(root):
            return _repair(root)
    except OSError:
        return None


def _repair(root: Path) -> str | None:
    path = root / RWLOCK
    try:
        content, written = read_rwlock(root), path.stat().st_mtime
    except ValueError:
        path.unlink()
        return f"removed {RWLOCK}, which DVC can't read (a kill or a full disk cuts it); it only says who is at work"
    others = {pid for pid in _processes(content) if _started(pid) > written + CLOCKS_S}
    if not others:
        return None
    path.write_text(json.dumps(_without(content, others)), encoding="utf-8")  # truncated by a kill, the next repairs it
    numbers = ", ".join(map(str, sorted(others)))
    return f"{RWLOCK}: dropped what killed processes left in it; their numbers ({numbers}) are others' now"


def _processes(content: dict[str, Any]) -> set[int]:
    """Ids of all processes in the file, as writer (one per path) or as readers (a list)."""
    readers = [reader for one in content["read"].values() for reader in one]
    return {one["pid"] for one in (*content["write"].values(), *readers)}


def _started(pid: int) -> float:
    """Start of a process in seconds since the epoch; far in the past if there is none, which DVC detects itself."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _without(content: dict[str, Any], others: set[int]) -> dict[str, Any]:
    """The content without the entries of these processes."""
    readers = {path: [one for one in entries if one["pid"] not in others] for path, entries in content["read"].items()}
    return {
        "write": {path: one for path, one in content["write"].items() if one["pid"] not in others},
        "read": {path: entries for path, entries in readers.items() if entries},
    }
