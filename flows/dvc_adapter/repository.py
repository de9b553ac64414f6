"""An open DVC repository, compared under DVC's lock, with errors that give the way out."""

import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from errors import BusyError, UserError
from flows.dvc_adapter.run_cache_entries import RUNS, RemoteRunCache
from flows.dvc_adapter.tracked import DvcStage, plain_stage

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage

PATIENCE = 60.0  # seconds that another DVC process may hold the workspace; it does for moments, not while a stage runs
PAUSE = 0.2
LINKS = ["reflink", "hardlink", "copy"]  # from the cache into a checkout that is thrown away: cheap first


@dataclass(frozen=True)
class Repository:
    """An open DVC repository, created by `open_repository`."""

    _repo: "Repo"

    @property
    def cache(self) -> Path:
        """Folder of DVC's cache."""
        return Path(self._repo.cache.legacy.path)

    @property
    def default_remote(self) -> str | None:
        """Name of the default remote, if there is one."""
        return self._repo.config["core"].get("remote") or None

    def stages(self) -> list[DvcStage]:
        """All stages in topological order, ties in the order of dvc.yaml."""
        import networkx

        graph = self._repo.index.graph
        position = {stage: number for number, stage in enumerate(self._repo.index.stages)}
        order = networkx.lexicographical_topological_sort(graph.reverse(copy=False), key=position.__getitem__)
        return [plain_stage(stage, sorted(graph.successors(stage), key=position.__getitem__)) for stage in order]

    def verify_downloads(self) -> None:
        """Make DVC verify the checksum of each downloaded file, which it does not for most remotes."""
        verified = {name: {"verify": True} for name in self._repo.config["remote"]}
        # Over the files, whenever DVC reads them again.
        self._repo._config = {**(self._repo._config or {}), "remote": verified}
        self._repo.__dict__.pop("config")

    def fetch(self, stages: Iterable[DvcStage]) -> list[str]:
        """Fetch the recorded outputs of these stages, as far as the default remote has them.

        Returns the remote's addresses of objects that have not the checksum in their name; DVC has deleted the copies.
        Raises UserError if objects can't be fetched.
        """
        return self._fetch([stage._stage for stage in stages])

    def fetch_restorable(self, stage: DvcStage) -> list[str]:
        """Fetch the objects that `restore` would check out, like `fetch`."""
        return self._fetch(self._restorable(stage._stage))

    def _fetch(self, stages: Iterable["Stage"]) -> list[str]:
        known = [stage for stage in stages if any(out.hash_info for out in stage.outs)]
        objects = {one for stage in known for found in stage.get_used_objs(force=True).values() for one in found}
        wanted = {out.hash_info for stage in known for out in stage.outs if out.is_dir_checksum and out.use_cache}
        if objects:
            fetched, failed = self._repo.cloud.pull(objects)
            if failed:
                raise UserError(f"{len(failed)} files could not be fetched")
            wanted |= fetched
        # DVC deletes a file that has not the checksum in its name, and counts it as fetched.
        remote, cache = self._repo.cloud.get_remote_odb(None, "pull"), self._repo.cache.local
        gone = sorted(name for one in wanted if one and not cache.exists(name := str(one.value)))
        return [remote.oid_to_path(name) for name in gone if remote.exists(name)]

    def check_out(self, stage: DvcStage) -> None:
        """Check out a stage's outputs in dvc.lock, from the cache alone."""
        # Not by `repo.checkout()`: of a folder whose listing the cache lacks, it follows that of the remote, unchecked.
        stage._stage.checkout(force=True)

    def restore(self, stage: DvcStage) -> bool:
        """Check out the outputs of a recorded run with the present inputs; False if there is none."""
        from dvc.stage.cache import RunCacheNotFoundError

        try:
            self._repo.stage_cache.restore(cast("PipelineStage", stage._stage))
        except RunCacheNotFoundError:
            return False
        return True

    def _restorable(self, stage: "Stage") -> Iterator["Stage"]:
        """The stage by dvc.lock if that matches, else by its run cache entry: the choice that `restore` makes."""
        from dvc.stage.cache import _can_hash

        if not _can_hash(stage):
            return
        if not stage.changed_stage() and stage.deps_cached() and all(out.hash_info for out in stage.outs):
            yield stage
        elif entry := self._repo.stage_cache._load(stage):
            yield self._repo.stage_cache._create_stage(entry, wdir=stage.wdir)

    def push(self, stages: Iterable[DvcStage]) -> None:
        """Push the recorded outputs of these stages. Raises UserError if objects can't be pushed."""
        found = (used for stage in stages for used in stage._stage.get_used_objs(push=True).values())
        objects = {one for used in found for one in used}
        if objects and (failed := self._repo.cloud.push(objects).failed):
            raise UserError(f"{len(failed)} files could not be pushed")

    def entry_key(self, stage: DvcStage) -> str | None:
        """The run cache key for the present inputs; None if there can be none."""
        from dvc.stage.cache import _can_hash, _get_stage_hash

        if stage._stage.is_data_source or stage.always:
            return None
        stage._stage.save_deps()
        return _get_stage_hash(stage._stage) if _can_hash(stage._stage) else None

    def recorded_entry(self, stage: DvcStage) -> tuple[str, str] | None:
        """The (key, name) of the run cache entry of dvc.lock's run; None if such a run makes none."""
        from dvc.stage.cache import _can_hash, _get_cache_hash, _get_stage_hash
        from dvc.stage.serialize import to_single_stage_lockfile

        if not stage.command or not _can_hash(stage._stage):
            return None
        return _get_stage_hash(stage._stage), _get_cache_hash(to_single_stage_lockfile(stage._stage))

    def remote_run_cache(self) -> "RemoteRunCache | None":
        """The run cache on the default remote; None for remotes without one."""
        from dvc.config import RemoteConfigError
        from dvc.fs import HTTPFileSystem

        try:
            remote = self._repo.cloud.get_remote_odb(None, "pull", hash_name="md5-dos2unix")
        except RemoteConfigError:
            return None
        if isinstance(remote.fs, HTTPFileSystem):
            return None
        return RemoteRunCache(remote.fs, remote.fs.join(remote.path, RUNS.name))


@contextmanager
def open_repository(root: Path, *, patience: float = PATIENCE) -> Generator[Repository]:
    """Open the DVC repository in `root`, locked against other DVC processes.

    Raises UserError where there is none or DVC can't read it, BusyError if another process holds it for too long.
    """
    from dvc.exceptions import DvcException

    _check_lock_file(root / "dvc.lock")
    with closing(_open(root)) as repo, ExitStack() as held:
        try:
            _hold(repo, held, patience)
            yield Repository(repo)
        except DvcException as error:
            raise UserError(f"DVC can't read the pipeline in {root}: {_one_line(error)}") from None


@contextmanager
def open_unheld(root: Path) -> Generator[Repository]:
    """The DVC repository in `root`, for questions to the remote and for what is read once: nobody is held off."""
    with closing(_open(root)) as repo:
        yield Repository(repo)


def check_repository(root: Path) -> None:
    """Raise UserError unless `root` is the root of a DVC repository that can be opened."""
    _open(root).close()


def _open(root: Path) -> "Repo":
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        raise UserError(f"{root}: no DVC repository; run from the root of a clone of the project") from None
    except DvcException as error:
        raise UserError(f"DVC can't open {root}: {_one_line(error)}{_without_git(error)}") from None
    except OSError as error:
        raise UserError(
            f"{error.filename or root}: can't be written ({error.strerror}); DVC and the flow write below {root}, so run in "
            "a copy that is yours"
        ) from None
    if Path(repo.root_dir).resolve() != root.resolve():
        repo.close()
        raise UserError(f"{root}: not the root of its DVC repository, which is {repo.root_dir}; run from there")
    return repo


def _hold(repo: "Repo", held: ExitStack, patience: float) -> None:
    """Hold DVC's lock of the workspace, for a consistent view of its files."""
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    end = time.monotonic() + patience
    while True:
        try:
            held.enter_context(lock_repo(repo))
            return
        except LockError:
            if time.monotonic() >= end:
                raise BusyError(_busy_message(repo, patience)) from None
            time.sleep(PAUSE)


def _busy_message(repo: "Repo", patience: float) -> str:
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
    """Raise UserError for merge conflicts in dvc.lock."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise UserError(
                f"{path}: line {number} is a conflict of a merge; keep one side (`git checkout --ours dvc.lock`, or "
                "--theirs), then `dvc repro`: what both sides computed is in DVC's cache"
            )


def _without_git(error: Exception) -> str:
    """The way out for an unpacked archive, missing from DVC's message; else empty."""
    if "is not a git repository" not in _one_line(error):
        return ""
    return (
        ". `git init` makes it one; to do without git, so that --profile and --set can't be used: "
        "`dvc config --local core.no_scm true`"
    )


def _one_line(error: Exception) -> str:
    """An error and its cause on one line."""
    parts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    return "; ".join(" ".join(part.split()) for part in parts if part)


def share_cache(root: Path, tree: Path) -> None:
    """Configure the checkout `tree` to use the cache, run cache and remotes of `root`, without git.

    DVC has nothing to ask git there, and takes the worktree of a submodule for a repository that is somewhere else.
    """
    from configobj import ConfigObj
    from dvc.config import _pack_named

    local = tree / ".dvc" / "config.local"
    local.write_text("[core]\n    no_scm = true\n", encoding="utf-8")  # before DVC opens it for the first time
    with closing(_open(root)) as home, closing(_open(tree)) as there:
        settings = there.config.load_one("local")
        settings.update({key: value for key, value in home.config.load_one("local").items() if value})
        settings["remote"] = dict(home.config["remote"])
        settings["cache"] = {**settings.get("cache", {}), "dir": str(Path(home.cache.legacy.path)), "type": LINKS}
        own = {"no_scm": True, "site_cache_dir": str(tree / ".dvc" / "tmp" / "site")}
        settings["core"] = {**settings.get("core", {}), **own}
    # Not by DVC's own `edit`: it writes ASCII, and fails at a path with another letter.
    with local.open("wb") as stream:
        ConfigObj(_pack_named(settings), encoding="utf-8").write(stream)
    local.chmod(0o600)


@contextmanager
def warnings_hidden() -> Generator[None]:
    """Silence DVC's warnings about outputs that were never made or pushed."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
