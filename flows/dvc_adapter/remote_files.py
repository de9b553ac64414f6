"""Small files of ours on DVC's default remote, beside its objects and its run cache: tickets, pins, snapshots."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import UserError
from flows.dvc_adapter.repository import Repository

if TYPE_CHECKING:
    from dvc_objects.fs.base import FileSystem

FOLDER = "fleet"
"""On the remote; DVC's own folders there are `files` and `runs`."""


@dataclass(frozen=True)
class RemoteFiles:
    """The folder of these files. Names are relative to it, with `/`."""

    _fs: "FileSystem"
    _path: str

    @property
    def address(self) -> str:
        """The folder's address, for people."""
        return self._fs.unstrip_protocol(self._path)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        try:
            return self._fs.cat_file(self._at(name))
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Return whether a file is there."""
        return self._fs.exists(self._at(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which appears whole."""
        if not self._is_local:
            self._fs.pipe_file(self._at(name), content)
            return
        aside = self._aside(name, content)
        aside.replace(self._at(name))

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; False if there is, be it since a moment ago.

        A local folder does that by a hard link, S3 and others by a condition of the request (If-None-Match). A file system
        that knows neither is asked first, so that of two writers in the same moment the later one wins.
        """
        if self._is_local:
            return self._link(name, content)
        try:
            self._fs.fs.pipe_file(self._at(name), content, mode="create")
        except FileExistsError:
            return False
        except (TypeError, NotImplementedError):
            if self.exists(name):
                return False
            self._fs.pipe_file(self._at(name), content)
        return True

    def download(self, name: str, target: Path) -> bool:
        """Copy a file here; False if there is none."""
        try:
            self._fs.get_file(self._at(name), os.fspath(target))
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._fs.remove(self._at(name))

    @property
    def _is_local(self) -> bool:
        from dvc.fs import LocalFileSystem

        return isinstance(self._fs, LocalFileSystem)

    def _at(self, name: str) -> str:
        return self._fs.join(self._path, *name.split("/"))

    def _aside(self, name: str, content: bytes) -> Path:
        folder = Path(self._at(name)).parent
        folder.mkdir(parents=True, exist_ok=True)
        number, aside = tempfile.mkstemp(dir=folder, prefix=".")
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(aside).chmod(0o644)  # others read it, too
        return Path(aside)

    def _link(self, name: str, content: bytes) -> bool:
        aside = self._aside(name, content)
        try:
            Path(self._at(name)).hardlink_to(aside)
        except FileExistsError:
            return False
        finally:
            aside.unlink()
        return True


def remote_files(repo: Repository) -> RemoteFiles:
    """The files on the default remote. Raises UserError if there is none, or one that can't hold them."""
    from dvc.config import RemoteConfigError
    from dvc.exceptions import DvcException
    from dvc.fs import HTTPFileSystem

    if repo.default_remote is None:
        raise UserError(
            "no default DVC remote, and it is all that machines share; `dvc remote add --default NAME ADDRESS`"
        )
    try:
        remote = repo._repo.cloud.get_remote_odb(None, "push", hash_name="md5-dos2unix")
    except (RemoteConfigError, DvcException) as error:
        raise UserError(f"the DVC remote {repo.default_remote!r}: {' '.join(str(error).split())}") from None
    if isinstance(remote.fs, HTTPFileSystem):
        raise UserError(
            f"the DVC remote {repo.default_remote!r} is one over HTTP, which holds no run cache; take another"
        )
    return RemoteFiles(remote.fs, remote.fs.join(remote.path, FOLDER))
