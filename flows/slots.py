"""Folders of temporary worktrees, .dvc/tmp/flows/ID: one per process; those of killed processes are removed."""

import contextlib
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from errors import UserError
from flows.file_locks import locked
from flows.git import git
from flows.process_notes import Note, notes, write_note
from paths import WORKTREES

SLOTS = Path(*WORKTREES)
GUARD = ".guard"  # locked while worktrees are made or removed


@contextmanager
def guarded(root: Path) -> Generator[None]:
    """Exclude all other processes that make or remove slots."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(root / SLOTS / GUARD))
        except OSError as error:
            raise UserError(
                f"{error.filename}: can't be written ({error.strerror}); a run with other values needs it"
            ) from None
        yield


def claim(root: Path, name: str) -> Path:
    """Make an empty folder owned by this process until it is released; remove those of killed processes."""
    folder = root / SLOTS / name
    with guarded(root):
        _remove_dead(root)
        write_note(root, "worktree", name)
        folder.mkdir()
    return folder


def release(root: Path, folder: Path) -> None:
    """Remove a slot and the worktree in it."""
    with guarded(root):
        _remove(root, folder)


def remove_dead(root: Path) -> list[str]:
    """Remove the slots of killed processes; return their names."""
    if not dead(root):
        return []
    with guarded(root):
        return _remove_dead(root)


def owners(root: Path) -> list[Note]:
    """Notes of the live processes that own a slot; the slot's name is the note's id."""
    return [note for note in notes(root, "worktree") if not note.orphaned]


def dead(root: Path) -> list[str]:
    """Names of the slots of killed processes."""
    return [note.id for note in notes(root, "worktree") if note.orphaned]


def _remove_dead(root: Path) -> list[str]:
    gone = dead(root)
    for name in gone:
        _remove(root, root / SLOTS / name)
    return gone


def _remove(root: Path, folder: Path) -> None:
    """Remove a slot's folder, its note, and git's record of the worktree."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(UserError):
        git(root, "worktree", "prune")
    if not folder.exists():
        for note in notes(root, "worktree"):
            if note.id == folder.name:
                note.path.unlink(missing_ok=True)
