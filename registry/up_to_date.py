"""Check whether a registration would change anything: students, gate, database, files.

Then nothing is asked, and MLflow, whose import and first question cost seconds, is not even imported. Only for a SQLite
file: what lies on a server is known by asking it.
"""

from collections.abc import Sequence
from pathlib import Path

from checksums import digest_of
from config.parameters import Parameters
from outputs import read_if_whole
from paths import sqlite_path
from records.registered import RegistrationRecord, RegistryState
from registry.evidence import EvaluatedStudent
from registry.stored_files import stamp


def state_of(
    address: str, students: Sequence[EvaluatedStudent], parameters: Parameters, folders: Sequence[str] | None
) -> RegistryState | None:
    """Collect the inputs of a registration; None if they can't be known without asking the registry.

    Any commit changes the database's file, or its write-ahead log: somebody's promotion or deletion is seen. `folders`
    hold the files of the students' versions; None if those are not on this machine.
    """
    path = sqlite_path(address)
    if path is None or not path.exists() or folders is None:
        return None
    found = [file.stat() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    given = [parameters.benchmark, parameters.selected_by, parameters.registry.model_dump(mode="json")]
    return RegistryState(
        database=tuple((file.st_mtime_ns, file.st_size, file.st_ino) for file in found),
        path=str(path),
        folders=tuple(folders),
        files=stamp(folders),
        students=tuple(student.key for student in students),
        settings=digest_of(given),
    )


def unchanged(
    previous: Path, address: str, students: Sequence[EvaluatedStudent], parameters: Parameters
) -> RegistrationRecord | None:
    """The last registration with nothing new; None if there is something to do.

    What another release wrote counts as something to do, as does what is not there.
    """
    last = read_if_whole(RegistrationRecord, previous / RegistrationRecord.FILE)
    if last is None or not last.reachable or last.state is None:
        return None
    if last.state != state_of(address, students, parameters, last.state.folders):
        return None
    return last.model_copy(
        update={"students": tuple(one.model_copy(update={"new": False}) for one in last.students), "new": 0}
    )
