"""Durations of stages that ran on workers, whose run.json is not here: .dvc/tmp/flows/seconds.json of this checkout."""

import json
import os
import threading
from pathlib import Path

from paths import WORKTREES, home

FILE = Path(*WORKTREES, "seconds.json")
_lock = threading.Lock()


def read_seconds(root: Path) -> dict[str, float]:
    """Stage -> seconds of its last run, as far as this checkout knows; {} where the file can't be read."""
    try:
        return {
            name: float(value) for name, value in json.loads((home(root) / FILE).read_text(encoding="utf-8")).items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def note_seconds(root: Path, name: str, seconds: float | None) -> None:
    """Note how long a stage took; None: it did not run."""
    if seconds is None:
        return
    path = home(root) / FILE
    with _lock:
        content = read_seconds(root) | {name: round(seconds, 1)}
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        aside.replace(path)
