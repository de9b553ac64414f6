"""DVC's note of who reads and writes which path, `.dvc/tmp/rwlock`: mended where nobody stands behind what it says.

DVC writes that file in place, at the start and the end of every stage, and refuses every command as long as it can't read
it; and it takes a killed process for one at work if another process has its number by now, as it happens in a container
that was started again. Nothing in the note outlives the processes it names, so nothing is lost with it.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import psutil

FILE = Path(".dvc", "tmp", "rwlock")
CUT = re.compile(r"RWLock-file '.*' format error|Unable to read RWLock-file .*JSON structure is corrupted")
CLOCKS_S = 60.0
"""Seconds by which the clock of a file system may differ from this machine's."""


def mend(root: Path) -> str | None:
    """Mend the note of the repository in `root`; a line that says what was wrong with it, or None.

    A note that DVC can't read goes. Of one that it can, an entry goes whose process was started after the note was last
    written: it can't have made it. Held against every DVC process that reads or writes the note, so that one which is
    being written is not taken for a cut one. It stays as it is if another process holds it for over five seconds, or if
    the disk lets nobody write: the next DVC command says so.
    """
    path = root / FILE
    if not path.exists():
        return None
    from dvc.config import Config
    from dvc.lock import LockError, make_lock
    from dvc.rwlock import RWLOCK_LOCK

    hardlink = bool(Config(os.fspath(root / ".dvc"))["core"].get("hardlink_lock", False))
    guard, folder = os.fspath(path.with_name(RWLOCK_LOCK)), os.fspath(path.parent)
    try:
        # As dvc.rwlock._edit_rwlock takes it: another kind of lock would hold nobody off.
        with make_lock(guard, tmp_dir=folder, hardlink_lock=hardlink):
            return _mend(path)
    except (LockError, OSError):
        return None


def _mend(path: Path) -> str | None:
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        note, written = SCHEMA(json.loads(path.read_bytes())), path.stat().st_mtime
    except FileNotFoundError:
        return None
    except (ValueError, Invalid):
        path.unlink()
        return f"removed {FILE}, which DVC can't read (a kill or a full disk cuts it); it only says who is at work"
    others = {pid for pid in _processes(note) if _started(pid) > written + CLOCKS_S}
    if not others:
        return None
    path.write_text(json.dumps(_without(note, others)), encoding="utf-8")  # cut by a kill, it is mended by the next
    numbers = ", ".join(map(str, sorted(others)))
    return f"{FILE}: dropped what killed processes left in it; their numbers ({numbers}) are others' now"


def _processes(note: dict[str, Any]) -> set[int]:
    """The numbers of all processes that a note names, be it as a writer (one for a path) or as readers (a list)."""
    readers = [reader for one in note["read"].values() for reader in one]
    return {one["pid"] for one in (*note["write"].values(), *readers)}


def _started(pid: int) -> float:
    """When a process started, in seconds since the epoch; long ago if there is none, which DVC sees by itself."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _without(note: dict[str, Any], others: set[int]) -> dict[str, Any]:
    """The note without the entries of these processes."""
    readers = {path: [one for one in entries if one["pid"] not in others] for path, entries in note["read"].items()}
    return {
        "write": {path: one for path, one in note["write"].items() if one["pid"] not in others},
        "read": {path: entries for path, entries in readers.items() if entries},
    }
