"""Whether a registration would find all as the last one left it: the students, the gate, the database, the files.

Then nothing is asked, and MLflow, whose import and first question cost seconds, is not even imported. Only for a SQLite
file: what lies on a server is known by asking it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from config.parameters import Parameters
from paths import sqlite_path
from registry.evidence import EvaluatedStudent
from registry.stored_files import stamp

STATE = "state"
FOLDERS = "folders"


def state_of(
    address: str, students: Sequence[EvaluatedStudent], parameters: Parameters, folders: Sequence[str] | None
) -> dict[str, object] | None:
    """What a registration depends on; None where it can't be told without asking.

    Any commit changes the database's file, or its write-ahead log: somebody's promotion or deletion is seen. `folders`
    hold the files of the students' versions; None if those are not on this machine.
    """
    path = sqlite_path(address)
    if path is None or not path.exists() or folders is None:
        return None
    files = [file for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    given = [parameters.benchmark, parameters.selected_by, parameters.registry.model_dump(mode="json")]
    return {
        "database": [[file.stat().st_mtime_ns, file.stat().st_size, file.stat().st_ino] for file in files],
        "path": str(path),  # a copy of a registry is another one
        FOLDERS: list(folders),
        "files": stamp(folders),
        "students": [student.key for student in students],  # of equals the first is the candidate
        "settings": hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest(),
    }


def unchanged(
    previous: Path, address: str, students: Sequence[EvaluatedStudent], parameters: Parameters
) -> dict[str, object] | None:
    """The last registration's registered.json, nothing in it new any more; None where there is something to do."""
    try:
        last = json.loads(previous.read_text(encoding="utf-8"))
        folders = last[STATE][FOLDERS]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if last.get("reachable") is not True or last[STATE] != state_of(address, students, parameters, folders):
        return None
    entries = [{**student, "new": False} for student in cast(list[dict[str, object]], last["students"])]
    return {**last, "students": entries, "new": 0}
