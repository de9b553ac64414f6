"""DVC's run cache: on-disk layout of cache and remotes, and entries named by two checksums of their content.

An entry says: this command with these inputs and parameters wrote these outputs. Its key is the checksum of command,
inputs, parameters and paths of outputs, its name that of all of it.
"""

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc_objects.fs.base import FileSystem

FILES, RUNS = Path("files", "md5"), Path("runs")
"""Paths in DVC's cache and on a remote: objects as `xx/rest of the md5`, the run cache as `xx/key/name`."""
HASH = re.compile(r"\bmd5:\s*['\"]?([0-9a-f]{32}(?:\.dir)?)\b")
"""A checksum in dvc.lock, in a .dvc file or in an entry of the run cache."""


@dataclass(frozen=True)
class RemoteRunCache:
    """The run cache on a remote."""

    _fs: "FileSystem"
    _path: str

    def entries(self, key: str) -> list[str]:
        """Names of the entries of a key, sorted; for nested files the path below the key."""
        folder = self._folder(key)
        found = self._fs.find(folder) if self._fs.exists(folder) else ()
        return sorted(self._fs.relpath(path, folder) for path in found)

    def size(self, key: str, name: str) -> int:
        """Size of an entry in bytes; 0 if the remote does not report it."""
        return self._fs.size(self._file(key, name)) or 0

    def address(self, key: str, name: str) -> str:
        """The entry's address, for people."""
        return self._fs.unstrip_protocol(self._file(key, name))

    def download(self, key: str, name: str, target: Path) -> None:
        """Download an entry."""
        self._fs.get_file(self._file(key, name), str(target))

    def upload(self, source: Path, key: str, name: str) -> bool:
        """Upload an entry to the remote; False if it exists there."""
        from dvc_objects.fs import generic
        from dvc_objects.fs.local import localfs

        target = self._file(key, name)
        if self._fs.exists(target):
            return False
        generic.copy(localfs, str(source), self._fs, target)
        return True

    def _folder(self, key: str) -> str:
        return self._fs.join(self._path, key[:2], key)

    def _file(self, key: str, name: str) -> str:
        return self._fs.join(self._folder(key), name)


def entry_name(path: Path) -> tuple[str, str] | None:
    """The (key, name) that an entry's content hashes to; None if it is not an entry."""
    from dvc.stage.cache import _get_cache_hash
    from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

    try:
        entry = load_yaml(str(path))
        return _get_cache_hash(copy.deepcopy(entry), key=True), _get_cache_hash(entry)  # the first changes its argument
    except (YAMLFileCorruptedError, UnicodeDecodeError, RecursionError):
        return None
    except (AttributeError, KeyError, TypeError, ValueError):  # YAML, but none of DVC's
        return None
