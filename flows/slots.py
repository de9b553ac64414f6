"""Folders of temporary worktrees: one for each process that needs one, cleaned up by the next if that was killed.

A slot is .dvc/tmp/flows/ID, beside it ID.lock, which its process has locked for as long as it lives. So a slot whose
lock is free has lost its process.
"""

import contextlib
import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import UserError
from flows.file_locks import is_free, lock_for_life, locked
from flows.git import git
from paths import WORKTREES

SLOTS = Path(*WORKTREES)
GUARD = ".guard"  # locked while worktrees are made or removed


@dataclass(frozen=True)
class Slot:
    """A folder that belongs to this process until it is released."""

    folder: Path
    handle: int
    """Open file of the lock."""


@dataclass(frozen=True)
class Owner:
    """The process that holds a slot."""

    name: str
    process: str


@contextmanager
def guarded(root: Path) -> Generator[Path]:
    """Hold off all other processes that make or remove slots; the folder of the slots."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(root / SLOTS / GUARD))
        except OSError as error:
            raise UserError(
                f"{error.filename}: can't be written ({error.strerror}); a run with other values needs it"
            ) from None
        yield root / SLOTS


def claim(root: Path, name: str) -> Slot:
    """Make an empty slot; remove those of killed processes."""
    with guarded(root) as folder:
        _remove_dead(root)
        handle = lock_for_life(folder / f"{name}.lock", str(os.getpid()))
        (folder / name).mkdir()
        return Slot(folder / name, handle)


def release(root: Path, slot: Slot) -> None:
    """Remove a slot and the worktree in it."""
    with guarded(root):
        _remove(root, slot.folder)
        os.close(slot.handle)


def remove_dead(root: Path) -> list[str]:
    """Remove the slots of processes that are gone; their names."""
    with _guarded_if_any(root):
        return _remove_dead(root)


def owners(root: Path) -> list[Owner]:
    """The living processes that hold a slot."""
    with _guarded_if_any(root):
        return [Owner(lock.stem, lock.read_text().strip()) for lock in _locks(root) if not is_free(lock)]


def dead(root: Path) -> list[str]:
    """Names of the slots of killed processes."""
    with _guarded_if_any(root):
        return [lock.stem for lock in _locks(root) if is_free(lock)]


def _guarded_if_any(root: Path) -> contextlib.AbstractContextManager[object]:
    """As `guarded`, but without a trace where there was never a slot."""
    return guarded(root) if (root / SLOTS).is_dir() else contextlib.nullcontext()


def _locks(root: Path) -> list[Path]:
    return sorted((root / SLOTS).glob("*.lock"))


def _remove_dead(root: Path) -> list[str]:
    gone = [lock for lock in _locks(root) if is_free(lock)]
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
