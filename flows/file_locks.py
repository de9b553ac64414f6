"""Locks between processes on files, which the system gives back even after `kill -9`."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import IO

PAUSE = 0.3


@contextmanager
def locked(path: Path, stop: Event | None = None) -> Generator[None]:
    """Hold a lock on a file, which is made if need be; it is no longer waited for once `stop` is set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not _take(file):
            if stop is None:
                fcntl.flock(file, fcntl.LOCK_EX)  # waits
            elif stop.wait(PAUSE):
                break
        yield


@contextmanager
def locked_if_free(path: Path) -> Generator[bool]:
    """Hold a lock on a file unless another process does; whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        yield _take(file)


def lock_for_life(path: Path, text: str) -> int:
    """Write a file that this process has locked until it ends or closes the handle returned; it appears whole and locked."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, text.encode())
    aside.rename(path)
    return handle


def is_free(path: Path) -> bool:
    """Return whether nobody holds the lock of a file; a missing file counts as held by the process that removed it."""
    try:
        with path.open("r+") as file:
            return _take(file)
    except OSError:
        return False


def _take(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
