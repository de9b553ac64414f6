"""File locks between processes, released by the system even after `kill -9`."""

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
    """Hold a lock on a file, created if needed; stop waiting once `stop` is set."""
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
    """Try to lock a file without waiting; yield whether it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        yield _take(file)


def lock_for_life(path: Path, text: str) -> int:
    """Write a file that appears whole and stays locked until this process ends or closes the handle returned."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    os.write(handle, text.encode())
    aside.rename(path)
    return handle


def is_free(path: Path) -> bool:
    """Return whether a file is unlocked; a missing file counts as locked by the process that removed it."""
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
