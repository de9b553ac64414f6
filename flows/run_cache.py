"""DVC's record of runs (its run cache) and a remote: only this pipeline's entries are taken and given, and only true ones.

An entry says: this command with these inputs and parameters wrote these outputs. DVC believes whatever entry lies under
a stage's key, checks out *all* outputs that it names, the stage's own or not, and follows `..` in the listing of a
folder. So whoever can write to a remote could put a module beside the stages, which import it. Here an entry must hash
to the two names under which it lies: the first is DVC's key of command, inputs, parameters and paths of outputs, the
second of all of it. A listing must hash to its own name, and stay in its folder.

All that the flows need of DVC's private parts for this is imported in this file.
"""

import contextlib
import copy
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, cast

from errors import UserError
from flows.graph import address

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.base import FileSystem

RUNS, FILES = "runs", Path("files", "md5")
NAME = re.compile(r"[0-9a-f]{64}")
MARKER = "distilflow-vetted"
"""In DVC's cache: all that is older was looked at. Not in `runs`, all of which `dvc push --run-cache` would copy."""
MARGIN = 5.0  # seconds that clocks and time stamps of a file system may be apart
WRITING = 0.5  # seconds; an entry is written in thousandths
LARGEST = 1_000_000  # bytes; an entry has a few thousand


@dataclass
class Taken:
    """What a pull came to."""

    restored: int = 0
    """Stages whose outputs are checked out now."""
    refused: list[str] = field(default_factory=list)
    """Entries and listings that are not what their name promises."""


def vet(repo: "Repo") -> list[str]:
    """Remove from DVC's cache what `dvc pull --run-cache` and the like brought and what is not true; the paths removed.

    Looks only at what came since the last time.
    """
    cache, started = Path(repo.cache.legacy.path), time.time()
    marker = cache / MARKER
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


def pull(repo: "Repo") -> Taken:
    """Fetch and check out what dvc.lock names, then the outputs of stages that ran elsewhere with the same inputs.

    Every file must have the checksum in its name. Of the record only the entries are fetched that a stage here asks for.
    What is damaged or forged is not taken; its stages run again. Raises UserError if files can't be fetched.
    """
    import networkx

    _verify_downloads(repo)
    taken = Taken(refused=vet(repo))
    with _warnings_hidden():  # of each output that nobody has pushed
        _take_objects(repo, repo.index.stages, taken)
        checkout(repo)
        graph, missing = repo.index.graph, set()
        store = _Store.of(repo)
        for stage in reversed(list(networkx.topological_sort(graph))):
            ready = missing.isdisjoint(graph.successors(stage))
            if not (ready and _restore(repo, stage, store, taken)):
                missing.add(stage)
    taken.restored = len(graph) - len(missing)
    return taken


def _take_objects(repo: "Repo", stages: Iterable["Stage"], taken: Taken) -> None:
    """Fetch what the outputs of these stages consist of, as far as the remote has it. Only true files stay."""
    known = [stage for stage in stages if any(out.hash_info for out in stage.outs)]
    objects = {one for stage in known for found in stage.get_used_objs(force=True).values() for one in found}
    wanted = {out.hash_info for stage in known for out in stage.outs if out.is_dir_checksum and out.use_cache}
    if objects:
        fetched, failed = repo.cloud.pull(objects)
        if failed:
            raise UserError(f"{len(failed)} files could not be fetched")
        wanted |= fetched
    # DVC deletes a file that has not the checksum in its name, and counts it as fetched.
    remote = repo.cloud.get_remote_odb(None, "pull")
    names = {str(one.value) for one in wanted if one}
    gone = {name for name in names if not Path(repo.cache.local.oid_to_path(name)).exists()}
    forged = [remote.oid_to_path(value) for value in sorted(gone) if remote.exists(value)]
    taken.refused += [path for path in (*forged, *vet(repo)) if path not in taken.refused]


def checkout(repo: "Repo") -> None:
    """Put the outputs that dvc.lock names in place, where DVC's cache has all of a stage.

    Not by `repo.checkout()`: of a folder whose listing the cache lacks, it follows that of the remote, unchecked.
    """
    for stage in repo.index.stages:
        if all(out.hash_info for out in stage.outs) and stage.outs_cached():
            stage.checkout(force=True)


def push(repo: "Repo", names: Collection[str] | None = None) -> int:
    """Push the outputs of these stages (all if None), then exactly their entries; the number of entries that are new.

    `dvc push --run-cache` would copy every entry ever made, each time (treeverse/dvc#10449). An entry comes last: who
    finds it finds its outputs. Stages whose outputs are not all in the cache are left out.
    """
    wanted = [stage for stage in repo.index.stages if names is None or address(stage) in names]
    stages = [stage for stage in wanted if all(out.hash_info for out in stage.outs) and stage.outs_cached()]
    objects = {one for stage in stages for found in stage.get_used_objs(push=True).values() for one in found}
    if objects:
        failed = repo.cloud.push(objects).failed
        if failed:
            raise UserError(f"{len(failed)} files could not be pushed")
    store = _Store.of(repo)
    return sum(store.give(*entry) for stage in stages if (entry := _entry(repo, stage))) if store else 0


@dataclass(frozen=True)
class _Store:
    """The record of runs on the default remote, and that in DVC's cache."""

    there: "FileSystem"
    path: str
    here: Path

    @classmethod
    def of(cls, repo: "Repo") -> "_Store | None":
        """None for kinds of remotes that hold no record."""
        from dvc.config import RemoteConfigError
        from dvc.fs import HTTPFileSystem

        try:
            remote: HashFileDB = repo.cloud.get_remote_odb(None, "pull", hash_name="md5-dos2unix")
        except RemoteConfigError:
            return None
        if isinstance(remote.fs, HTTPFileSystem):
            return None
        return cls(remote.fs, remote.fs.join(remote.path, RUNS), Path(repo.cache.legacy.path, RUNS))

    def take(self, key: str, taken: Taken) -> None:
        """Copy a key's first true entry here, if there is none yet: the first by name, so that all machines agree."""
        own = self.here / key[:2] / key
        folder = self.there.join(self.path, key[:2], key)
        if (own.is_dir() and any(own.iterdir())) or not self.there.exists(folder):
            return
        for source in sorted(self.there.find(folder)):
            name = self.there.name(source)
            with _aside(self.here) as copied:
                if (self.there.size(source) or 0) <= LARGEST:
                    self.there.get_file(source, str(copied))
                if _is_true(copied, key, name):
                    own.mkdir(parents=True, exist_ok=True)
                    copied.rename(own / name)
                    return
            taken.refused.append(self.there.unstrip_protocol(source))

    def give(self, key: str, value: str) -> bool:
        """Copy an entry to the remote, unless it is there."""
        from dvc_objects.fs import generic
        from dvc_objects.fs.local import localfs

        target = self.there.join(self.path, key[:2], key, value)
        if self.there.exists(target):
            return False
        generic.copy(localfs, str(self.here / key[:2] / key / value), self.there, target)
        return True


def _restore(repo: "Repo", stage: "Stage", store: _Store | None, taken: Taken) -> bool:
    """Check out what a stage wrote where it ran with the inputs that are here; False if that is not known."""
    from dvc.stage.cache import RunCacheNotFoundError, _can_hash, _get_stage_hash

    if store and not stage.is_data_source and not stage.always_changed:
        stage.save_deps()
        if _can_hash(stage):
            store.take(_get_stage_hash(stage), taken)
    _take_objects(repo, _candidates(repo, stage), taken)
    try:
        repo.stage_cache.restore(cast("PipelineStage", stage))
    except RunCacheNotFoundError:
        return False
    return True


def _candidates(repo: "Repo", stage: "Stage") -> Iterator["Stage"]:
    """What `restore` would check out: the stage as dvc.lock has it where that fits, else as the entry of its key has it."""
    from dvc.stage.cache import _can_hash

    if not _can_hash(stage):
        return
    if not stage.changed_stage() and stage.deps_cached() and all(out.hash_info for out in stage.outs):
        yield stage
    elif entry := repo.stage_cache._load(stage):
        yield repo.stage_cache._create_stage(entry, wdir=stage.wdir)


def _entry(repo: "Repo", stage: "Stage") -> tuple[str, str] | None:
    """(Key, name) of the entry that DVC made when the stage ran, or None if it has none."""
    from dvc.stage.cache import _can_hash, _get_cache_hash, _get_stage_hash
    from dvc.stage.serialize import to_single_stage_lockfile

    if not stage.cmd or not _can_hash(stage):
        return None
    key, name = _get_stage_hash(stage), _get_cache_hash(to_single_stage_lockfile(stage))
    path = Path(repo.stage_cache._get_cache_path(key, name))
    return (key, name) if path.is_file() and _is_true(path, key, name) else None


def _is_true(path: Path, key: str, name: str) -> bool:
    """Whether a file is the entry that its key and its name promise."""
    from dvc.stage.cache import _get_cache_hash
    from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

    if not (NAME.fullmatch(key) and NAME.fullmatch(name)) or not 0 < path.stat().st_size <= LARGEST:
        return False
    try:
        entry = load_yaml(str(path))
        # DVC's function changes what it is given.
        return (_get_cache_hash(copy.deepcopy(entry), key=True), _get_cache_hash(entry)) == (key, name)
    except (
        YAMLFileCorruptedError,
        UnicodeDecodeError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
    ):
        return False


def _stays_inside(listing: Path) -> bool:
    """Whether the listing of a folder has the checksum in its name, and names nothing outside of the folder."""
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


@contextlib.contextmanager
def _aside(folder: Path) -> Generator[Path]:
    """An empty file that is removed, unless it was moved away."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".taken-", delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _verify_downloads(repo: "Repo") -> None:
    """See to it that DVC compares each file with the checksum in its name, which it does not for most remotes."""
    verified = {name: {"verify": True} for name in repo.config["remote"]}
    repo._config = {**(repo._config or {}), "remote": verified}  # over the files, whenever DVC reads them again
    repo.__dict__.pop("config")


@contextlib.contextmanager
def _warnings_hidden() -> Generator[None]:
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
