"""The value that counts for a key: the first one that a parent merged, pinned on the remote for all others.

Outputs of two attempts, or of two machines, may differ (times, another CPU). DVC would take the newest entry by the time of
a file, which is arbitrary after a copy.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from errors import UserError
from flows.dvc_adapter.recorded_runs import Entry, entry_from, on_remote
from flows.dvc_adapter.remote_files import RemoteFiles
from flows.dvc_adapter.repository import Repository
from flows.dvc_adapter.run_cache_entries import entry_name
from flows.run_cache import LARGEST, NAME


@dataclass(frozen=True)
class Value:
    """One result of a stage: an entry of the run cache whose objects are on the remote."""

    key: str
    name: str
    entry: Entry


def counted(repo: Repository, files: RemoteFiles, key: str, preferred: str | None = None) -> Value | None:
    """The value that counts for a key, pinned by this call if none was; None if the remote has no result.

    Args:
        repo: with the default remote.
        files: of the same remote.
        key: in DVC's run cache.
        preferred: name of the value to pin if none is; else the first by name, so that all machines agree.
    """
    pinned = _pinned(files, key)
    if pinned is not None:
        found = _first(repo, key, [pinned])
        if found is None:
            raise UserError(
                f"{files.address}/pins/{key}: names the result {pinned}, which is not on the remote any more; delete this file "
                "and the next run makes the result again"
            )
        return found
    found = _first(repo, key, [preferred] if preferred else _names(repo, key))
    if found is None or files.create(_file(key), found.name.encode()):
        return found
    return counted(repo, files, key)  # another parent was faster


def _pinned(files: RemoteFiles, key: str) -> str | None:
    content = files.read(_file(key))
    if content is None:
        return None
    name = content.decode("ascii", errors="replace").strip()
    if not NAME.fullmatch(name):
        raise UserError(f"{files.address}/{_file(key)}: not the name of a result; delete this file")
    return name


def _names(repo: Repository, key: str) -> list[str]:
    remote = repo.remote_run_cache()
    return remote.entries(key) if remote else []


def _first(repo: Repository, key: str, names: Iterable[str]) -> Value | None:
    """The first of these results that is what its name promises and whose objects are on the remote."""
    remote = repo.remote_run_cache()
    assert remote is not None
    for name in names:
        if not NAME.fullmatch(name):
            continue
        with tempfile.TemporaryDirectory(prefix="entry-") as folder:
            path = Path(folder, "entry")
            try:
                if not 0 < remote.size(key, name) <= LARGEST:
                    continue
                remote.download(key, name, path)
            except FileNotFoundError:
                continue
            if entry_name(path) != (key, name):
                continue
            entry = entry_from(path.read_bytes())
        objects = {out["md5"] for out in entry.get("outs", []) if "md5" in out}
        if on_remote(repo, objects) == objects:
            return Value(key, name, entry)
    return None


def _file(key: str) -> str:
    return f"pins/{key}"
