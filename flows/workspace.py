"""DVC's repository, opened and held for a moment, with errors that say who is in the way and what to do."""

import os
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from errors import BusyError, UserError

if TYPE_CHECKING:
    from dvc.repo import Repo

PATIENCE = 60.0  # seconds that another DVC process may hold the workspace; it does for moments, not while a stage runs
PAUSE = 0.2


@contextmanager
def dvc_repository(root: Path, *, patience: float = PATIENCE) -> Generator["Repo"]:
    """The DVC repository in `root`, held against other DVC processes.

    Raises UserError where there is none or DVC can't read it, BusyError if another process holds it for too long.
    """
    _check_lock_file(root / "dvc.lock")
    from dvc.exceptions import DvcException

    with closing(open_repository(root)) as repo, ExitStack() as held:
        try:
            _hold(repo, held, patience)
            yield repo
        except DvcException as error:
            raise UserError(f"DVC can't read the pipeline in {root}: {_flat(error)}") from None


def open_repository(root: Path) -> "Repo":
    """The DVC repository whose root is `root`; the caller closes it. Raises UserError if there is none."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        raise UserError(f"{root}: no DVC repository; run from the root of a clone of the project") from None
    except DvcException as error:
        raise UserError(f"DVC can't open {root}: {_flat(error)}{_without_git(error)}") from None
    except OSError as error:
        raise UserError(_not_writable(root, error)) from None
    if Path(repo.root_dir).resolve() != root.resolve():
        repo.close()
        raise UserError(f"{root}: not the root of its DVC repository, which is {repo.root_dir}; run from there")
    return repo


def _hold(repo: "Repo", held: ExitStack, patience: float) -> None:
    """Take DVC's lock of the workspace; what DVC reads until it is given back fits together."""
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    end = time.monotonic() + patience
    while True:
        try:
            held.enter_context(lock_repo(repo))
        except LockError:
            if time.monotonic() >= end:
                raise BusyError(_who_is_there(repo, patience)) from None
            time.sleep(PAUSE)
        else:
            return


def _who_is_there(repo: "Repo", patience: float) -> str:
    lock = Path(str(repo.lock.lockfile))
    try:
        holder = f"process {lock.read_text(encoding='utf-8').strip()}"
    except (OSError, UnicodeDecodeError):
        holder = "another process"
    return (
        f"{repo.root_dir}: {holder} has held DVC's lock ({lock}) for {patience:.0f} s; "
        "wait for it to end, or end it, and start again"
    )


def _check_lock_file(path: Path) -> None:
    """Raise UserError if a merge was left unfinished in dvc.lock."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise UserError(
                f"{path}: line {number} is a conflict of a merge; keep one side (`git checkout --ours dvc.lock`, or "
                "--theirs), then `dvc repro`: what both sides computed is in DVC's cache"
            )


def _not_writable(root: Path, error: OSError) -> str:
    return (
        f"{error.filename or root}: can't be written ({error.strerror}); DVC and the flow write below {root}, so run in a "
        "copy that is yours"
    )


def _without_git(error: Exception) -> str:
    """The way out of an unpacked archive, which DVC does not name; else nothing."""
    if "is not a git repository" not in _flat(error):
        return ""
    return (
        ". `git init` makes it one; to do without git, so that --profile and --set can't be used: "
        "`dvc config --local core.no_scm true`"
    )


def _flat(error: Exception) -> str:
    """An error and its cause on one line."""
    parts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    return "; ".join(" ".join(part.split()) for part in parts if part)
