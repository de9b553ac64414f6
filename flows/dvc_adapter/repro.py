"""`dvc repro` as a process: its command, the lines it prints, and its rwlock file."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

RWLOCK = Path(".dvc", "tmp", "rwlock")
"""DVC's file of readers and writers by path."""

# What `dvc repro -s STAGE` prints.
RUNNING, RESTORED, UNCHANGED = "Running stage '{}'", "Stage '{}' is cached", "didn't change"
BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
EXITED = re.compile(r"failed to run: .*, exited with (-?\d+)$")
RWLOCK_UNREADABLE = re.compile(
    r"RWLock-file '.*' format error|Unable to read RWLock-file .*JSON structure is corrupted"
)
ADVICE = re.compile(
    r"(Use `dvc push`|To track the changes with git|To enable auto staging|Data and pipelines are up to date"
    r"|(Updating|Generating) lock file|\tgit add |\tdvc config )"
)


def repro_command(stage: str) -> list[str]:
    """The command that runs one stage without its upstream stages."""
    # -P: `dvc` must not find this repository's folders (data, models ...) before its own libraries.
    return [sys.executable, "-P", "-m", "dvc", "--wait-for-lock", "repro", "-s", stage]


@contextmanager
def rwlock_guard(root: Path) -> Generator[None]:
    """Hold the lock under which every DVC process reads and writes RWLOCK.

    Raises OSError if another process holds it for over five seconds, or if nobody may write there.
    """
    from dvc.config import Config
    from dvc.lock import LockError, make_lock
    from dvc.rwlock import RWLOCK_LOCK

    path = root / RWLOCK
    hardlink = bool(Config(os.fspath(root / ".dvc"))["core"].get("hardlink_lock", False))
    with ExitStack() as held:
        # As dvc.rwlock._edit_rwlock takes it: another kind of lock would hold nobody off.
        lock = make_lock(os.fspath(path.with_name(RWLOCK_LOCK)), tmp_dir=os.fspath(path.parent), hardlink_lock=hardlink)
        try:
            held.enter_context(cast("AbstractContextManager[object]", lock))
        except LockError as error:
            raise BlockingIOError(str(error)) from None
        yield


def read_rwlock(root: Path) -> dict[str, Any]:
    """The content of RWLOCK: under `write` an entry a path, under `read` a list of them, each with `pid` and `cmd`.

    Raises FileNotFoundError, or ValueError where DVC itself can't read it.
    """
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    with contextlib.suppress(Invalid):
        return SCHEMA(json.loads((root / RWLOCK).read_bytes()))
    raise ValueError(f"{RWLOCK}: not in DVC's form")
