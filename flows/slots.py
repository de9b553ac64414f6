"""Folders of temporary worktrees: one for each process that needs one, cleaned up by the next if that was killed.

A slot is .dvc/tmp/flows/ID, beside it ID.lock, on which its process holds a lock for as long as it lives. The system
gives the lock back even after `kill -9`, so a slot whose lock can be taken has lost its process.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import UserError
from paths import WORKTREES, git_environment

SLOTS = Path(*WORKTREES)
GUARD = ".guard"  # held while worktrees are made or removed


@dataclass(frozen=True)
class Slot:
    """A folder that belongs to this process until it is released."""

    folder: Path
    handle: int
    """Open file of the lock."""

    @property
    def name(self) -> str:
        """The run's name, which its kept results have, too."""
        return self.folder.name


@dataclass(frozen=True)
class Owner:
    """The process that holds a slot."""

    name: str
    process: str


@contextmanager
def guarded(root: Path) -> Generator[Path]:
    """The folder of the slots, while no other process makes or removes one."""
    folder = root / SLOTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / GUARD).open("w")
    except OSError as error:
        raise UserError(
            f"{error.filename}: can't be written ({error.strerror}); a run with other values needs it"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


def claim(root: Path, name: str) -> Slot:
    """Make an empty slot; remove what killed processes left."""
    with guarded(root) as folder:
        _remove_dead(root, folder)
        handle = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, str(os.getpid()).encode())
        (folder / name).mkdir()
        return Slot(folder / name, handle)


def release(root: Path, slot: Slot) -> None:
    """Remove a slot and the worktree in it."""
    with guarded(root):
        _remove(root, slot.folder)
        os.close(slot.handle)


def remove_dead(root: Path) -> list[str]:
    """Remove the slots of processes that are gone; their names."""
    if not (root / SLOTS).is_dir():
        return []
    with guarded(root) as folder:
        return _remove_dead(root, folder)


def owners(root: Path) -> list[Owner]:
    """The living processes that hold a slot."""
    if not (root / SLOTS).is_dir():
        return []
    with guarded(root) as folder:
        return [Owner(lock.stem, lock.read_text().strip()) for lock in _locks(folder) if not _is_free(lock)]


def dead(root: Path) -> list[str]:
    """Names of the slots that killed processes left."""
    if not (root / SLOTS).is_dir():
        return []
    with guarded(root) as folder:
        return [lock.stem for lock in _locks(folder) if _is_free(lock)]


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return what it prints. Raises UserError with git's words if it fails."""
    command = ["git", "-C", str(root), *arguments]
    environment = git_environment() | {"LC_ALL": "C"}  # what it says is looked at
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise UserError(
            "git is not installed, and a profile or other values run in a git worktree; install it, or change params.yaml"
        ) from None
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise UserError(f"git {arguments[0]} failed in {root}: {words}")
    return done.stdout


def _locks(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("*.lock")))


def _is_free(lock: Path) -> bool:
    """Whether nobody holds a lock any more."""
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _remove_dead(root: Path, folder: Path) -> list[str]:
    gone = [lock for lock in _locks(folder) if _is_free(lock)]
    for lock in gone:
        _remove(root, lock.with_suffix(""))
    return [lock.stem for lock in gone]


def _remove(root: Path, folder: Path) -> None:
    """Remove a slot's folder, its lock, and what git remembers of the worktree."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(UserError):
        git(root, "worktree", "prune")
    if not folder.exists():
        folder.with_suffix(".lock").unlink(missing_ok=True)
