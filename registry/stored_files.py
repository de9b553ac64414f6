"""Check of a version's files at their registered location: by listing with sizes, without downloads."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from records.evaluated import PREDICTIONS, EvaluateMetrics
from registry import names
from registry.experiment import local_path
from registry.pyfunc_check import PACKAGE, SCORING, STUDENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.model_state import StoredVersion


MODEL_FOLDERS = ("", "artifacts", f"artifacts/{STUDENT}")
EVIDENCE = tuple(f"{names.EVIDENCE}/{name}" for name in (PREDICTIONS, EvaluateMetrics.FILE, "params.yaml"))
NOT_THERE = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Location:
    """Return the location of a version's files; for an MLflow address empty if the registry has forgotten it."""

    model: str
    run: str

    @property
    def folders(self) -> list[str] | None:
        """Both as local folders; None if one is on a server or in a bucket."""
        paths = [local_path(address) for address in (self.model, self.run)]
        return None if None in paths else [str(path) for path in paths]


def locate(client: "MlflowClient", name: str, version: "StoredVersion") -> Location:
    """Return the location of a version's files."""
    from mlflow.exceptions import MlflowException

    model = client.get_model_version_download_uri(name, str(version.number))
    try:
        run = client.get_run(version.run_id).info.artifact_uri if version.run_id else ""
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        run = ""
    return Location(model, run or "")


def missing_files(location: Location, sizes: Mapping[str, int]) -> list[str]:
    """List a version's missing files, of model and evidence, and files whose size differs from `sizes`.

    Args:
        location: of the version's files.
        sizes: bytes of files of the student's folder, by name.
    """
    wanted: dict[str, int | None] = dict.fromkeys((*PACKAGE, f"artifacts/{SCORING}"))
    wanted |= {f"artifacts/{STUDENT}/{name}": size for name, size in sizes.items()}
    there = dict(_listed(location.model, MODEL_FOLDERS)) | dict(_listed(location.run, (names.EVIDENCE,)))
    wanted |= dict.fromkeys(EVIDENCE)
    return [name for name, size in wanted.items() if name not in there or size not in (None, there[name])]


def stamp(folders: Sequence[str]) -> str:
    """Checksum over the names and sizes of all files in folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(f"{path}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _listed(address: str, folders: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """(name, bytes) of the files directly in some folders below an address."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if not address:
        return
    files = get_artifact_repository(address)
    for folder in folders:
        try:
            found = files.list_artifacts(folder or None)
        except MlflowException as error:
            if error.error_code != NOT_THERE:
                raise
            return
        for file in found:
            if not file.is_dir:
                yield file.path, file.file_size
        if not found:
            return


def student_sizes(folder: Path) -> dict[str, int]:
    """Sizes of a version's configuration, weights and tokenizer by name, from a student's folder."""
    from registry.pyfunc_model import stock_paths  # reads tokenizers and tables: only where MLflow is asked, too

    return {path.name: path.stat().st_size for path in stock_paths(folder)}
