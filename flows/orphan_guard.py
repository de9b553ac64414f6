"""Stops the children of a killed process: `python -m flows.orphan_guard`, run beside each flow and server of ours.

It reads the process groups that are running, "+PID" and "-PID", one a line. When the list ends, so did the process that
wrote it, and what is left of the groups is ended, too: a killed flow must not train on, nor leave its server.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from flows.process_groups import end_groups

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Guard:
    """The guard of this process, started on first use. Thread-safe."""

    _process: "subprocess.Popen[bytes] | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, group: int) -> None:
        """Register a process group to be stopped if the calling process is killed."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """Unregister a process group that has ended."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """Stop the guard and the groups that it still watches."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-m", "flows.orphan_guard"]
                # In a session of its own: Ctrl-C in the terminal is not for it.
                self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
            if self._process.stdin is not None and not self._process.stdin.closed:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(f"{line}\n".encode())
                    self._process.stdin.flush()


def left_over(lines: Iterable[str]) -> set[int]:
    """Registered process groups that have not ended."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


if __name__ == "__main__":
    end_groups(left_over(sys.stdin))
