"""kept: export dvc.lock and params.yaml of every registered version, for cleaning DVC's cache.

    python -m registry.registered_locks --to FOLDER

Reads: the registry (MLFLOW_TRACKING_URI, or the repository's own). Writes: FOLDER/<model>/<version>/dvc.lock and
params.yaml. The last line, JSON, counts the versions and names those that were registered without a dvc.lock.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import UserError
from paths import sqlite_path
from registry import names
from registry.connection import connect, explained, tracking_address
from registry.model_state import pages

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = ("dvc.lock", "params.yaml")


@dataclass(frozen=True)
class VersionRun:
    """A version of ours, and the run with its evidence."""

    name: str
    number: str
    run_id: str
    key: str
    """Key of its student."""
    lost: bool
    """True if `register` found its files missing."""

    def __str__(self) -> str:
        return f"{self.name}/{self.number}"


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
        found = list(_versions(client))
        again = {version.key for version in found if not version.lost}
        # Of a student that was registered again, because its files were gone, the later version speaks.
        versions = [version for version in found if not (version.lost and version.key in again)]
        without = [str(version) for version in versions if not _download(client, version, folder)]
    return len(versions), without


def _versions(client: "MlflowClient") -> Iterator[VersionRun]:
    """Every version that `register` made; others know nothing of DVC."""
    for version in pages(client.search_model_versions):
        if names.KEY in version.tags:
            key, lost = version.tags[names.KEY], names.LOST in version.tags
            yield VersionRun(version.name, str(version.version), version.run_id or "", key, lost)


def _download(client: "MlflowClient", version: VersionRun, folder: Path) -> bool:
    """Download the files of one version; False if it has no dvc.lock."""
    there = {Path(file.path).name for file in client.list_artifacts(version.run_id, names.EVIDENCE)}
    if not there:
        raise UserError(
            f"{version}: the files of its run are gone; `python -m tasks.register` registers its student again, if that is "
            "among the outputs; else delete the version in MLflow"
        )
    target = folder / version.name / version.number
    target.mkdir(parents=True)
    for file in FILES:
        if file in there:
            path = client.download_artifacts(version.run_id, f"{names.EVIDENCE}/{file}", str(target))
            Path(path).rename(target / file)
    return "dvc.lock" in there


if __name__ == "__main__":
    raise SystemExit(main())
