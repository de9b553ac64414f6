"""Pull and push of outputs and DVC's run cache, limited to this pipeline's entries and verified by checksum.

DVC believes whatever entry of the run cache lies under a stage's key, checks out *all* outputs that it names, the
stage's own or not, and follows `..` in the listing of a folder. So whoever can write to a remote could put a module
beside the stages, which import it. Here an entry must hash to the two names under which it lies, and a listing to its
own name, and stay in its folder.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from flows.dvc_adapter.repository import Repository, warnings_hidden
from flows.dvc_adapter.run_cache_entries import FILES, RUNS, RemoteRunCache, entry_name
from flows.dvc_adapter.tracked import DvcStage

NAME = re.compile(r"[0-9a-f]{64}")
MARKER = "distilflow-vetted"
"""Marker in DVC's cache: older files were verified. Not in `runs`, which `dvc push --run-cache` copies whole."""
MARGIN = 5.0  # seconds that clocks and time stamps of a file system may be apart
WRITING = 0.5  # seconds; an entry is written in thousandths
LARGEST = 1_000_000  # bytes; an entry has a few thousand


@dataclass
class PullResult:
    """The result of a pull."""

    restored: int = 0
    """Stages whose outputs were checked out."""
    refused: list[str] = field(default_factory=list)
    """Entries, listings and files whose content contradicts their name."""


def remove_forged(cache: Path) -> list[str]:
    """Remove unverified files from DVC's cache, as left by `dvc pull --run-cache`; return the paths removed.

    Checks only what came since the last time.
    """
    started, marker = time.time(), cache / MARKER
    since = marker.stat().st_mtime - MARGIN if marker.exists() else 0.0
    wrong = [
        *(path for path in _newer(cache / RUNS, "??/*/*", since) if not _is_true(path, *path.parts[-2:])),
        *(path for path in _newer(cache / FILES, "??/*.dir", since) if not _stays_inside(path)),
    ]
    if any(path.suffix != ".dir" and not NAME.fullmatch(path.name) for path in wrong):
        time.sleep(WRITING)  # DVC in another checkout that has this cache may be writing an entry aside
    for path in wrong:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            path.parent.rmdir()  # DVC fails on a key that has no entry
    if cache.is_dir():
        marker.touch()
        os.utime(marker, (started, started))
    return [str(path) for path in wrong]


def pull(repo: Repository) -> PullResult:
    """Fetch and check out the outputs in dvc.lock, then those of runs elsewhere with the same inputs.

    Every file must have the checksum in its name. Of the run cache only the entries are fetched that a stage here asks
    for. What is damaged or forged is not taken; its stages run again. Raises UserError if files can't be fetched.
    """
    repo.verify_downloads()
    result = PullResult(refused=remove_forged(repo.cache))
    with warnings_hidden():  # of each output that nobody has pushed
        stages, missing = repo.stages(), set[str]()
        _note_forged(repo, repo.fetch(stages), result)
        check_out(repo)
        remote = repo.remote_run_cache()
        for stage in stages:
            if not (missing.isdisjoint(stage.needs) and _restore(repo, stage, remote, result)):
                missing.add(stage.name)
    result.restored = len(stages) - len(missing)
    return result


def check_out(repo: Repository) -> None:
    """Check out the outputs in dvc.lock of the stages that DVC's cache has completely."""
    for stage in repo.stages():
        if stage.is_cached:
            repo.check_out(stage)


def push(repo: Repository, names: Collection[str] | None = None) -> int:
    """Push the outputs of these stages (all if None), then their entries; return the number of new entries.

    `dvc push --run-cache` would copy every entry ever made, each time (treeverse/dvc#10449). An entry comes last: who
    finds it finds its outputs. Stages whose outputs are not all in the cache are left out.
    """
    stages = [stage for stage in repo.stages() if (names is None or stage.name in names) and stage.is_cached]
    repo.push(stages)
    remote, new = repo.remote_run_cache(), 0
    if remote is None:
        return 0
    for key, name in filter(None, map(repo.recorded_entry, stages)):
        path = repo.cache / RUNS / key[:2] / key / name
        if path.is_file() and _is_true(path, key, name):
            new += remote.upload(path, key, name)
    return new


def _note_forged(repo: Repository, on_remote: list[str], result: PullResult) -> None:
    """Add the files of a download that failed verification to the result."""
    forged = (*on_remote, *remove_forged(repo.cache))
    result.refused += [path for path in forged if path not in result.refused]


def _restore(repo: Repository, stage: DvcStage, remote: RemoteRunCache | None, result: PullResult) -> bool:
    """Check out the outputs of a recorded run with the present inputs; False if none is known."""
    if remote and (key := repo.entry_key(stage)):
        _take_entry(repo.cache / RUNS, key, remote, result)
    _note_forged(repo, repo.fetch_restorable(stage), result)
    return repo.restore(stage)


def _take_entry(runs: Path, key: str, remote: RemoteRunCache, result: PullResult) -> None:
    """Download a key's first valid entry, if there is none yet: the first by name, so that all machines agree."""
    own = runs / key[:2] / key
    if own.is_dir() and any(own.iterdir()):
        return
    runs.mkdir(parents=True, exist_ok=True)
    for name in remote.entries(key):
        with TemporaryDirectory(dir=runs, prefix=".taken-") as aside:
            copied = Path(aside, "entry")
            if remote.size(key, name) <= LARGEST:
                remote.download(key, name, copied)
                if _is_true(copied, key, name):
                    own.mkdir(parents=True, exist_ok=True)
                    copied.rename(own / name)
                    return
        result.refused.append(remote.address(key, name))


def _is_true(path: Path, key: str, name: str) -> bool:
    """Return whether an entry's content matches its key and its name."""
    if not (NAME.fullmatch(key) and NAME.fullmatch(name)) or not 0 < path.stat().st_size <= LARGEST:
        return False
    return entry_name(path) == (key, name)


def _stays_inside(listing: Path) -> bool:
    """Return whether a folder's listing matches its checksum and names nothing outside of the folder."""
    content = listing.read_bytes()
    if hashlib.md5(content).hexdigest() != listing.parent.name + listing.stem:  # noqa: S324 (DVC's checksum)
        return False
    try:
        paths = [PurePosixPath(entry["relpath"]) for entry in json.loads(content)]
    except (ValueError, KeyError, TypeError):
        return False
    return not any(path.is_absolute() or ".." in path.parts or not path.parts for path in paths)


def _newer(folder: Path, pattern: str, since: float) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if path.is_file() and path.stat().st_ctime >= since)
