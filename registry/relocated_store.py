"""Repair of a moved or copied SQLite registry: MLflow stores absolute paths.

A path is corrected where the file or folder that it names lies beside the database, in `artifacts`, as `register` puts
it there, and the path still leads to another folder. Names of runs and models in it are unique, so it is the same one.
"""

import contextlib
import sqlite3
import sys
from pathlib import Path

from errors import UserError

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""MLflow's tables and columns with paths to our files."""
FOLDER = "artifacts"


def correct_paths(database: Path) -> None:
    """Correct the paths in a moved registry's database in one transaction, and print a line about it."""
    old = _stale_folders(database)
    if not old:
        return
    new = str(database.parent / FOLDER)
    try:
        with contextlib.closing(sqlite3.connect(database)) as store, store:
            changed = sum(_correct(store, table, column, folder, new) for folder in old for table, column in COLUMNS)
    except sqlite3.Error as error:
        raise UserError(
            f"{database}: was moved here, and its paths can't be corrected ({error}); make it writable, or move it back "
            f"to {Path(old[0]).parent}"
        ) from None
    if changed:
        print(
            f"{database}: was moved or copied here from {Path(old[0]).parent}; {changed} paths in it are corrected",
            file=sys.stderr,
        )


def _stale_folders(database: Path) -> list[str]:
    """Old `artifacts` folders of experiments whose files now lie beside the database."""
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as store:
            found = [row[0] for row in store.execute("select artifact_location from experiments") if row[0]]
    except sqlite3.Error:  # not one of MLflow's; opening it says so
        return []
    here = database.parent / FOLDER
    places = [Path(path) for path in found if path.startswith("/")]
    return sorted(
        {
            str(path.parent)
            for path in places
            if path.parent.name == FOLDER
            and (here / path.name).is_dir()
            and not (path.parent.exists() and path.parent.samefile(here))
        }
    )


def _correct(store: sqlite3.Connection, table: str, column: str, old: str, new: str) -> int:
    """Correct one column; return the number of paths."""
    below = f"select rowid, {column} from {table} where substr({column}, 1, ?) = ?"  # noqa: S608 (names of COLUMNS)
    rows = [(rowid, new + path.removeprefix(old)) for rowid, path in store.execute(below, (len(old) + 1, f"{old}/"))]
    moved = [(path, rowid) for rowid, path in rows if Path(path).exists()]
    store.executemany(f"update {table} set {column} = ? where rowid = ?", moved)  # noqa: S608
    return len(moved)
