"""kept: export dvc.lock and params.yaml of every registered version, for cleaning DVC's cache.

    python -m registry.registered_locks --to FOLDER

Reads: the registry (MLFLOW_TRACKING_URI, or the repository's own). Writes: FOLDER/<model>/<version>/dvc.lock and
params.yaml. The last line, JSON, counts the versions and names those that were registered without a dvc.lock.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errors import UserError
from paths import sqlite_path
from registry import names
from registry.connection import connect, explained, tracking_address
from registry.model_state import StoredVersion, pages

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = ("dvc.lock", "params.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Download the files; return 2 with one line on stderr unless all are available."""
    parser = argparse.ArgumentParser(
        prog="python -m registry.registered_locks", description="dvc.lock of every registered version."
    )
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a folder for them")
    folder = parser.parse_args(arguments).to
    try:
        versions, without = fetch(folder)
    except UserError as error:
        print(f"kept: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"versions": versions, "without": without}))
    return 0


def fetch(folder: Path) -> tuple[int, list[str]]:
    """Export the files into the folder; (number of versions, those without a dvc.lock).

    Raises UserError where the registry can't be asked, or the files of a version are gone.
    """
    address = tracking_address()
    store = sqlite_path(address)
    if store is not None and not store.exists():
        return 0, []  # nothing was ever registered; asking would make the store
    client = connect()
    with explained(address):
        # Others than `register` make versions, too; those know nothing of DVC.
        found = [
            (version.name, StoredVersion.of(version))
            for version in pages(client.search_model_versions)
            if names.KEY in version.tags
        ]
        again = {own.tags[names.KEY] for _, own in found if not own.lost}
        # Of a student that was registered again, because its files were gone, the later version speaks.
        versions = [(name, own) for name, own in found if not (own.lost and own.tags[names.KEY] in again)]
        without = [f"{name}/{own.number}" for name, own in versions if not _download(client, name, own, folder)]
    return len(versions), without


def _download(client: "MlflowClient", name: str, version: StoredVersion, folder: Path) -> bool:
    """Fetch the files of one version; False if it has no dvc.lock."""
    there = {Path(file.path).name for file in client.list_artifacts(version.run_id, names.EVIDENCE)}
    if not there:
        raise UserError(
            f"{name}/{version.number}: the files of its run are gone; `python -m tasks.register` registers its student "
            "again, if that is among the outputs; else delete the version in MLflow"
        )
    target = folder / name / str(version.number)
    target.mkdir(parents=True)
    for file in FILES:
        if file in there:
            path = client.download_artifacts(version.run_id, f"{names.EVIDENCE}/{file}", str(target))
            Path(path).rename(target / file)
    return "dvc.lock" in there


if __name__ == "__main__":
    raise SystemExit(main())
