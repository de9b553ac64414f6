"""Recorded runs of all stages, and what follows from them alone: keys, inputs to fetch, without a look at outputs/.

A machine that dispatches stages holds no outputs. The checksum of what a stage reads is then taken from the entries of
dvc.lock: of an output, of a folder inside one (by its listing), or of a folder that holds several.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from errors import UserError
from flows.dvc_adapter.repository import Repository, warnings_hidden
from flows.dvc_adapter.run_cache_entries import RUNS

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import PipelineStage
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

Entry = dict[str, Any]
"""A stage in dvc.lock: command, checksums of dependencies and outputs, values of parameters."""


@dataclass
class RecordedRuns:
    """The entries of dvc.lock, in memory, with the stages that they are about; several threads may use it."""

    _repo: Repository
    check: Callable[[Path], object] = lambda cache: None
    """Called with DVC's cache when files have come from the remote, before any is put in place."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    _stages: "dict[str, PipelineStage]" = field(default_factory=dict)
    _owners: "dict[str, Output]" = field(default_factory=dict)
    """Path -> output. Those of `dvc add` are among them."""
    _saved: set[str] = field(default_factory=set)
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        from dvc.stage import PipelineStage

        for stage in self._repo._repo.index.stages:
            if isinstance(stage, PipelineStage) and stage.path_in_repo == "dvc.yaml":
                self._stages[str(stage.name)] = stage
            self._owners.update({out.def_path: out for out in stage.outs})
        self._entries = {name: entry for name, entry in self.read().items() if name in self._stages}

    @property
    def names(self) -> list[str]:
        """Names of all stages of dvc.yaml."""
        return list(self._stages)

    def is_output(self, path: str) -> bool:
        """Return whether a path is an output, whole."""
        return path in self._owners

    def is_cached_output(self, path: str) -> bool:
        """Return whether all behind a path are outputs that DVC caches."""
        behind = list(self._behind(path))
        return bool(behind) and all(out.use_cache for out, _ in behind)

    def read(self) -> dict[str, Entry]:
        """The entries of dvc.lock as the file has them now."""
        from dvc.utils.serialize import load_yaml

        path = Path(self._repo._repo.root_dir, "dvc.lock")
        return (load_yaml(str(path)) or {}).get("stages", {}) if path.exists() else {}

    def entry(self, name: str) -> Entry | None:
        """The entry of a stage; None if it never ran."""
        return self._entries.get(name)

    def take(self, name: str, entry: Entry) -> None:
        """Put an entry in the place of a stage's, here in memory."""
        from dvc.stage.loader import StageLoader

        with self._lock:
            self._entries[name] = entry
            stage = self._stages[name]
            for out in stage.outs:
                out.obj = None  # the listing of the former value
            StageLoader.fill_from_lock(stage, entry)
            stage.cmd_changed = entry["cmd"] != stage.cmd
            self._saved.discard(name)  # its parameters are those of the entry now

    def reload(self, name: str) -> None:
        """Take a stage's entry from dvc.lock: DVC ran it here."""
        if entry := self.read().get(name):
            self.take(name, entry)

    def key(self, name: str) -> str | None:
        """The key in DVC's run cache under which a run of a stage with these inputs stands.

        None where DVC makes no entry (a stage that always runs, or has an output that is not cached), or where a stage
        before it has no entry yet, or one whose output is gone from the cache and the remote.
        """
        from dvc.stage.cache import _get_cache_hash
        from dvc.stage.serialize import to_single_stage_lockfile
        from dvc_data.hashfile.meta import Meta

        with self._lock:
            stage = self._stages[name]
            if not self.has_key(name):
                return None
            self._save_others(stage)
            for dep in stage.deps:
                if self._reads_outputs(dep.def_path):
                    found = self.checksum(dep.def_path)
                    if found is None:
                        return None
                    dep.hash_info, dep.meta = found, Meta(isdir=str(found.value).endswith(".dir"))
            return _get_cache_hash(copy.deepcopy(to_single_stage_lockfile(stage)), key=True)

    def recorded_names(self, name: str) -> tuple[str, str] | None:
        """The (key, name) in DVC's run cache of the run that dvc.lock names; None if it names none, or none is kept there."""
        from dvc.stage.cache import _get_cache_hash

        entry = self._entries.get(name)
        if entry is None or not self.has_key(name):
            return None
        return _get_cache_hash(copy.deepcopy(entry), key=True), _get_cache_hash(copy.deepcopy(entry))

    def push(self, names: Iterable[str]) -> list[str]:
        """Push the recorded outputs of stages that this machine's cache holds and the remote lacks, then their entries.

        Returns the names of the stages that were pushed. Raises UserError if objects can't be pushed.
        """
        with self._lock:
            present = on_remote(self._repo, self.outputs(names).values())
            own = [name for name in names if self._is_only_here(name, present)]
            cloud, remote = self._repo._repo.cloud, self._repo.remote_run_cache()
            found = (used for name in own for used in self._stages[name].get_used_objs(push=True).values())
            objects = {one for used in found for one in used}
            if objects and (failed := cloud.push(objects).failed):
                raise UserError(f"{len(failed)} files could not be pushed")
            for key, value in filter(None, map(self.recorded_names, own)):
                path = self._repo.cache / RUNS / key[:2] / key / value
                if remote and path.is_file():
                    remote.upload(path, key, value)
            return own

    def _is_only_here(self, name: str, present: set[str]) -> bool:
        outputs = set(self.outputs([name]).values())
        return not outputs <= present and self._stages[name].outs_cached()

    def has_key(self, name: str) -> bool:
        """Return whether DVC's run cache can hold a run of this stage."""
        stage = self._stages[name]
        if stage.is_callback or stage.always_changed or not (stage.cmd and stage.deps and stage.outs):
            return False
        cached = all(out.use_cache and not out.persist and out.is_in_repo for out in stage.outs)
        return cached and all(out.use_cache for dep in stage.deps for out, _ in self._behind(dep.def_path))

    def checksum(self, path: str) -> "HashInfo | None":
        """The checksum of a path that is, lies in or holds outputs; None if one of them is not recorded."""
        with self._lock:
            return self._tree(list(self._behind(path)), path)

    def other_inputs(self, name: str) -> list[str]:
        """Paths that a stage reads and no stage writes: code and rows that git holds, or that lie on this machine only."""
        from dvc.dependency import ParamsDependency

        deps = (dep for dep in self._stages[name].deps if not isinstance(dep, ParamsDependency))
        return [dep.def_path for dep in deps if not self._reads_outputs(dep.def_path)]

    def before(self, name: str) -> list[str]:
        """Names of the stages that a stage needs, directly or not."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            for dep in self._stages[waiting.pop()].deps:
                for out, _ in self._behind(dep.def_path):
                    need = getattr(out.stage, "name", None)
                    if need is not None and need not in found:
                        found[need] = None
                        waiting.append(need)
        return list(found)

    def outputs(self, names: Iterable[str]) -> dict[str, str]:
        """Path -> checksum of the cached outputs that are recorded for these stages."""
        outs = (out for name in names for out in self._stages[name].outs)
        return {out.def_path: str(out.hash_info.value) for out in outs if out.use_cache and out.hash_info}

    def fetch_inputs(self, name: str) -> None:
        """Put what a stage reads of earlier stages in place, and no more. Raises UserError if it can't be fetched."""
        with self._lock:
            inputs = [pair for dep in self._stages[name].deps for pair in self._behind(dep.def_path)]
            self._fetch([(out, inner) for out, inner in inputs if out.use_cache])

    def fetch_outputs(self, name: str) -> None:
        """Put the recorded outputs of a stage in place. Raises UserError if they can't be fetched."""
        with self._lock:
            self._fetch([(out, None) for out in self._stages[name].outs if out.use_cache])

    def remove_stale(self, name: str) -> None:
        """Remove outputs of a stage from the workspace that are other than the recorded ones; the cache may hold those."""
        for out in self._stages[name].outs:
            if out.exists and out.use_cache and out.status():
                out.remove()

    def write(self, names: Iterable[str]) -> None:
        """Write the entries of these stages into dvc.lock. The repository must be held against other DVC processes."""
        from dvc.dvcfile import Lockfile
        from dvc.stage.loader import StageLoader

        with self._lock:
            stages = {name: self._stages[name] for name in names}
            for name, stage in stages.items():
                StageLoader.fill_from_lock(stage, self._entries[name])
                self._saved.discard(name)
            with warnings_hidden():  # it says each time that dvc.lock was updated
                Lockfile(self._repo._repo, str(Path(self._repo._repo.root_dir, "dvc.lock"))).dump_stages(
                    list(stages.values())
                )

    # --- parts

    def _save_others(self, stage: "PipelineStage") -> None:
        """Read parameters, code and rows once: they stay as they are during a run."""
        if stage.name not in self._saved:
            for dep in stage.deps:
                if not self._reads_outputs(dep.def_path):
                    dep.save()
            self._saved.add(str(stage.name))

    def _reads_outputs(self, path: str) -> bool:
        return any(True for _ in self._behind(path))

    def _behind(self, path: str) -> "Iterator[tuple[Output, str | None]]":
        """The outputs behind a path, each with the path inside of it if it is only a part that is read."""
        parts = Path(path).parts
        for end in range(len(parts), 0, -1):
            if out := self._owners.get("/".join(parts[:end])):
                yield out, None if end == len(parts) else "/".join(parts[end:])
                return
        for owned, out in self._owners.items():
            if owned.startswith(f"{path}/"):
                yield out, None

    def _tree(self, behind: "list[tuple[Output, str | None]]", path: str) -> "HashInfo | None":
        from dvc_data.hashfile.tree import Tree

        if not behind or not all(out.hash_info for out, _ in behind):
            return None
        out, inner = behind[0]
        if inner is not None:
            return self._inside(out, inner)
        if out.def_path == path:
            return out.hash_info
        whole = Tree()
        for out, _ in behind:
            start = Path(out.def_path).relative_to(path).parts
            if not out.is_dir_checksum:
                whole.add(start, None, out.hash_info)
                continue
            listing = self._listing(out)
            if listing is None:
                return None
            for parts, meta, found in listing:
                whole.add((*start, *parts), meta, found)
        whole.digest()
        return whole.hash_info

    def _inside(self, out: "Output", inner: str) -> "HashInfo | None":
        listing = self._listing(out)
        if listing is None:
            return None
        parts = tuple(inner.split("/"))
        if found := listing.get(parts):
            return found[1]
        part = listing.get_obj(self._repo._repo.cache.local, cast("tuple[str]", parts))  # DVC's own type is too narrow
        return part.hash_info if part is not None else None

    def _listing(self, out: "Output") -> "Tree | None":
        """The listing of an output that is a folder; fetched from the remote if need be, without the files."""
        if not out.is_dir_checksum:
            return None
        with warnings_hidden():
            return out.get_dir_cache()

    def _fetch(self, wanted: "list[tuple[Output, str | None]]") -> None:
        cache = self._repo._repo.cache.local
        with warnings_hidden():
            objects = {one for out, inner in wanted for one in self._objects(out, _inside_path(out, inner))}
            if missing := {one for one in objects if not cache.exists(str(one.value))}:
                self._repo._repo.cloud.pull(missing)
            self.check(self._repo.cache)  # always: a listing may have come, and its files may have been here
        # DVC deletes a file that has not the checksum in its name, and counts it as fetched.
        if gone := sorted(str(one.value) for one in objects if not cache.exists(str(one.value))):
            raise UserError(f"{len(gone)} files could not be fetched from the remote: {', '.join(gone[:3])}")
        for out, inner in wanted:
            out.checkout(force=True, filter_info=_inside_path(out, inner))

    def _objects(self, out: "Output", inside: str | None) -> "set[HashInfo]":
        found = out.get_used_objs(force=True, filter_info=inside)
        objects = {one for each in found.values() for one in each if one}
        if not objects:
            raise UserError(f"{inside or out.def_path}: could not be fetched, its list of files is not on the remote")
        return objects


def _inside_path(out: "Output", inner: str | None) -> str | None:
    return None if inner is None else out.fs.join(out.fs_path, *inner.split("/"))


def on_remote(repo: Repository, checksums: Iterable[str]) -> set[str]:
    """Those of the checksums whose objects the default remote holds; with the listing of a folder come its files."""
    wanted = sorted(set(checksums))
    if not wanted:
        return set()
    remote = repo._repo.cloud.get_remote_odb(None, "push")
    return set(remote.oids_exist(wanted))


def write_lock(root: Path, entries: dict[str, Entry]) -> None:
    """Write a dvc.lock that holds exactly these entries."""
    from dvc.utils.serialize import dump_yaml

    dump_yaml(str(root / "dvc.lock"), {"schema": "2.0", "stages": entries})


def entry_from(content: bytes) -> Entry:
    """An entry of the run cache as a stage's entry of dvc.lock. Raises ValueError if it is none."""
    from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
    from voluptuous import Invalid

    try:
        return COMPILED_LOCK_FILE_STAGE_SCHEMA(parse_yaml(content.decode("utf-8"), "entry"))
    except (YAMLFileCorruptedError, Invalid, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
