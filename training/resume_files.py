"""Checkpoints on disk: atomic, the last two kept, each verified by its sha256."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

from models.folders import whole_folder

State = dict[str, Any]  # as torch declares a state_dict
"""Tensors, numbers, strings and None in dicts, lists and tuples: readable without running code from the file."""
KEPT = 2
NAME = re.compile(r"step-(\d{8,})")


class _Hashing:
    """A file being written, and the sha256 of its content so far."""

    def __init__(self, path: Path) -> None:
        self.digest, self.bytes = hashlib.sha256(), 0
        self.refused: OSError | None = None
        self._stream = path.open("wb")

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        try:
            return self._stream.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


class CheckpointFiles:
    """The checkpoints of one run, `folder/step-00000123/{state.pt,checkpoint.json}`.

    Args:
        folder: of this run alone; made when the first one is written.
        identity: what the run computes from, by name, as digests; a checkpoint of another is never used.
        say: takes a line for the person who watches.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.folder, self._identity, self.say = folder, dict(identity), say

    def write(self, steps: int, state: State) -> None:
        """Store a state; delete all but the last two. Raises OSError if there is no room."""
        target = self.folder / f"step-{steps:08d}"
        with whole_folder(target, self.folder / f".partial-{os.getpid()}") as aside:
            file = _Hashing(aside / "state.pt")
            try:
                torch.save(state, cast(IO[bytes], file))
            except RuntimeError:  # torch's writer hides what the disk said behind a fault of its own
                if file.refused is not None:
                    raise file.refused from None
                raise
            finally:
                file.close()
            content = {"sha256": file.digest.hexdigest(), "bytes": file.bytes, "identity": self._identity}
            (aside / "checkpoint.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        for old in self._folders()[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> tuple[int, State] | None:
        """The latest complete state and its number of steps; damaged ones are reported and deleted."""
        for left in self.folder.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        for folder in reversed(self._folders()):
            reason = self._damage(folder)
            if reason is None:
                state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
                return int(folder.name.removeprefix("step-")), state
            self.say(
                f"WARNING: the checkpoint {folder} is damaged ({reason}) and was deleted; an older one is used if any"
            )
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def remove(self) -> None:
        """Delete them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """Oldest first."""
        found = [path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))

    def _damage(self, folder: Path) -> str | None:
        """Return the reason why a checkpoint can't be used; None if it can."""
        try:
            content = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
            expected, identity = content["sha256"], content["identity"]
            with (folder / "state.pt").open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{type(error).__name__}: {error}"
        if identity != self._identity:
            return "it is of another run"
        return None if digest == expected else "its content does not match its checksum"
