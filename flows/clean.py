"""clean: removal of cached objects not needed by the workspace, a named commit, or a registered version.

Every version in the registry holds the dvc.lock that it was made with; if the registry can't be asked, nothing goes.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

import paths
from errors import BusyError, UserError
from flows.cache import Unneeded, checksums_in, find_unneeded
from flows.dvc_adapter.repository import open_repository
from flows.git import git
from flows.run_results import RUNS
from flows.slots import dead, owners, remove_dead

PARTIAL = Path("outputs", ".partial")
EXPERIMENTS = Path(*paths.EXPERIMENTS)
DVC_FILES = ("dvc.lock", "*.dvc")
DAY = 86400.0


@dataclass(frozen=True)
class References:
    """The checksums to keep, and their owners."""

    checksums: frozenset[str]
    versions: int
    without: tuple[str, ...]
    """Registered versions without a dvc.lock."""
    commits: int
    runs: int


@dataclass(frozen=True)
class Leftovers:
    """Leftovers of ended processes, and results of old runs."""

    partial: tuple[Path, ...]
    worktrees: tuple[str, ...]
    runs: tuple[Path, ...]

    def remove(self, root: Path) -> None:
        """Delete them."""
        for path in (*self.runs, *self.partial):
            shutil.rmtree(path, ignore_errors=True)
        remove_dead(root)


def main(*, dry_run: bool, yes: bool, older_than: float | None) -> int:
    """List what can be removed, ask, and remove it; return the exit status.

    Args:
        dry_run: only show it.
        yes: don't ask.
        older_than: days; results in outputs/runs that are older go, too. None keeps them.
    """
    root = Path.cwd()
    _check_nobody_writes(root)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        versions, without = _registered(root, folder)
        repo = stack.enter_context(open_repository(root))  # until the end: nobody adds to the cache meanwhile
        leftovers = _leftovers(root, older_than)
        kept = _references(root, folder, leftovers, versions, without)
        waste = find_unneeded(_own_cache(root, repo.cache), kept.checksums)
        print("\n".join(_text(kept, leftovers, waste)))
        if dry_run or not any((waste.objects, waste.runs, leftovers.partial, leftovers.worktrees, leftovers.runs)):
            return 0
        if not (yes or _agreed()):
            print("Nothing was removed.")
            return 0
        leftovers.remove(root)
        waste.remove()
    print("Removed.")
    return 0


def _check_nobody_writes(root: Path) -> None:
    """Raise BusyError while a run in a worktree is active: its objects are not referenced anywhere yet."""
    for note in owners(root):
        raise BusyError(
            f"process {note.owner.pid} is running with other values ({note.id}), and what it writes into DVC's cache "
            "has no name yet; wait for it to end, or end it"
        )


def _registered(root: Path, folder: Path) -> tuple[int, tuple[str, ...]]:
    """Copy the dvc.lock of every registered version to the folder; (number of versions, those without one)."""
    done = subprocess.run(
        [sys.executable, "-m", "registry.registered_locks", "--to", str(folder)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"what the registered versions need can't be told, so nothing is removed: {words[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found["versions"], tuple(found["without"])


def _references(
    root: Path, registered: Path, leftovers: Leftovers, versions: int, without: tuple[str, ...]
) -> References:
    """Collect all checksums in DVC's files here, in named commits, in kept runs and in `registered`."""
    runs = [path for path in (root / RUNS).glob("*/dvc.lock") if path.parent not in leftovers.runs]
    here = [root / name for name in git(root, "ls-files", "-co", "-z", "--", *DVC_FILES).split("\0") if name]
    experiments = (root / EXPERIMENTS).glob("*/dvc.lock")
    files = {*runs, *here, *experiments, root / "dvc.lock", *registered.rglob("dvc.lock")}
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    refs = (line.split() for line in git(root, "for-each-ref", "--format=%(objectname) %(objecttype)").splitlines())
    commits = {name for name, kind in refs if kind in ("commit", "tag")}
    texts += [_checksum_lines(root, commit) for commit in ("HEAD", *commits)]
    return References(frozenset().union(*map(checksums_in, texts)), versions, without, len(commits), len(runs))


def _checksum_lines(root: Path, commit: str) -> str:
    """The lines with checksums in DVC's files of a commit."""
    try:
        return git(root, "grep", "-h", "md5:", commit, "--", *DVC_FILES)
    except UserError:  # git's way to say that nothing was found
        return ""


def _leftovers(root: Path, older_than: float | None) -> Leftovers:
    partial = tuple(path for path in (root / PARTIAL).glob("*") if not _lives(path.name))
    limit = None if older_than is None else time.time() - older_than * DAY
    runs = (path for path in (root / RUNS).glob("*") if path.is_dir() and limit is not None)
    return Leftovers(partial, tuple(dead(root)), tuple(path for path in runs if path.stat().st_mtime < (limit or 0)))


def _lives(name: str) -> bool:
    """Return whether the process whose id ends the name of a partial output still exists."""
    number = re.search(r"-(\d+)(-replaced)?$", name)
    return number is None or psutil.pid_exists(int(number[1]))


def _own_cache(root: Path, cache: Path) -> Path:
    """The cache, if it belongs to this repository alone."""
    if cache.resolve().is_relative_to((root / ".dvc").resolve()):
        return cache
    raise UserError(
        f"DVC's cache is {cache}, outside of {root}: other repositories may share it, and what they need can't be told "
        "from here; see `dvc gc --help`, option --projects"
    )


def _text(kept: References, leftovers: Leftovers, waste: Unneeded) -> Iterator[str]:
    yield (
        f"Kept: what the workspace, {kept.commits} branches, tags and experiments, {kept.runs} runs in {RUNS} and "
        f"{kept.versions} registered versions name."
    )
    if kept.without:
        yield f"Registered without a dvc.lock, so DVC can't tell what they came from: {', '.join(kept.without)}."
    yield f"DVC may forget {len(waste.objects)} objects, {size(waste.size)}; {waste.kept} stay."
    for count, what in (
        (len(waste.runs), "entries of its run cache, whose outputs are among those"),
        (len(leftovers.partial), "outputs of stages that were killed"),
        (len(leftovers.worktrees), "worktrees of runs that were killed"),
        (len(leftovers.runs), f"results of old runs in {RUNS}"),
    ):
        if count:
            yield f"Also {count} {what}."


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UserError("nobody is there to be asked; --yes removes it, --dry-run only shows it")
    return input("Remove it? [y/N] ").strip().lower() in ("y", "yes")


def size(count: float) -> str:
    """A size for people: 1.2 GB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
