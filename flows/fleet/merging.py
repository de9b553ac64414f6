"""Results into dvc.lock, many at once and by one writer: who comes while another writes is written with the next."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from flows.dvc_adapter.recorded_runs import Entry, RecordedRuns
from flows.dvc_adapter.remote_files import RemoteFiles
from flows.dvc_adapter.repository import Repository, open_repository
from flows.fleet.values import Value, counted


@dataclass
class Merging:
    """The writer of the dvc.lock in `root`; several threads may use it."""

    root: Path
    recorded: RecordedRuns
    repo: Repository
    """Open, not held: what it is asked concerns the remote only."""
    files: RemoteFiles
    _waiting: dict[str, Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def counted(self, key: str, preferred: str | None = None) -> Value | None:
        """The value that counts for a key, by the remote."""
        return counted(self.repo, self.files, key, preferred)

    def merge(self, name: str, entry: Entry) -> None:
        """Write an entry into dvc.lock; an output in the workspace that has another value is removed.

        The entry must lie under the key that this run has computed, so that it is of the same code and inputs.
        """
        with self._lock:
            self._waiting[name] = entry
        with self._writing:
            with self._lock:
                now, self._waiting = self._waiting, {}
            if not now:
                return  # another thread has written it
            try:
                self._write(now)
            except BaseException:
                with self._lock:
                    self._waiting = now | self._waiting  # whoever else waits for one of them meets the error, too
                raise

    def _write(self, entries: dict[str, Entry]) -> None:
        with open_repository(self.root):
            for stage, taken in entries.items():
                self.recorded.take(stage, taken)
                self.recorded.remove_stale(stage)
            self.recorded.write(entries)
