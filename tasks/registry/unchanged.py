"""Whether a registration would find all as the last one left it: the students, the gate, and the database itself.

Then nothing is asked, and MLflow, whose import and first question cost seconds, is not even imported. Only for a SQLite
file: what lies on a server is known by asking it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from config import Parameters
from places import sqlite_path
from tasks.registry.evidence import Student

STATE = "state"


def state_of(address: str, students: Sequence[Student], parameters: Parameters) -> dict[str, object] | None:
    """What a registration depends on; None where it can't be told without asking.

    Any commit changes the database's file, or its write-ahead log: somebody's promotion or deletion is seen.
    """
    path = sqlite_path(address)
    if path is None or not path.exists():
        return None
    files = [file for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    given = [parameters.benchmark, parameters.registry.model_dump(mode="json")]
    return {
        "database": [[file.stat().st_mtime_ns, file.stat().st_size, file.stat().st_ino] for file in files],
        "students": [student.key for student in students],  # of equals the first is the candidate
        "settings": hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest(),
    }


def unchanged(previous: Path, state: dict[str, object] | None) -> dict[str, object] | None:
    """The last registration's registered.json, nothing in it new any more; None where there is something to do."""
    if state is None:
        return None
    try:
        last = json.loads(previous.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(last, dict) or last.get(STATE) != state or last.get("reachable") is not True:
        return None
    students = [{**student, "new": False} for student in cast(list[dict[str, object]], last["students"])]
    return {**last, "students": students, "new": 0}
