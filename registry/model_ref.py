"""Resolution of a MODEL argument, a registered version or a pulled folder: lookup, download, loading."""

import logging
import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import UserError
from models.folders import whole_folder
from paths import without_password
from registry.connection import SETTINGS, connect, explained, tracking_address
from registry.names import nearest
from registry.pyfunc_check import PACKAGE, check_package, fingerprint, missing_files

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.pyfunc import PyFuncModel

    from registry.scorer import StudentScorer

FORMS = "NAME@ALIAS or NAME/VERSION, as in quickstart-payment-mpdistil@champion or quickstart-payment-mpdistil/3"
MODEL = re.compile(r"(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
LISTED_MODELS, LISTED_VERSIONS = 1000, 10


@dataclass(frozen=True)
class VersionRef:
    """One version of a registered model."""

    name: str
    number: int
    aliases: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address in MLflow's form."""
        return f"models:/{self.name}/{self.number}"

    def __str__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name} version {self.number}{aliases}"


@dataclass(frozen=True)
class LoadedStudent:
    """A loaded student."""

    title: str
    model: "PyFuncModel"
    scorer: "StudentScorer"
    fingerprint: str = ""
    """sha256 over all its files that affect a score."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns it needs."""
        return tuple(self.model.metadata.get_input_schema().input_names())

    @property
    def answers(self) -> dict[str, str]:
        """Output columns and their types: "string", "double" or "boolean"."""
        schema = self.model.metadata.get_output_schema()
        return {column.name: column.type.name for column in schema.inputs}

    def check(self, rows: "pd.DataFrame") -> None:
        """Raise UserError for unreadable rows, without scoring."""
        with _data_errors():
            self.scorer.texts(rows)

    def score(self, rows: "pd.DataFrame", batch_size: int) -> "pd.DataFrame":
        """Label, score and probabilities of the rows."""
        with _data_errors():
            return self.scorer.predict(None, rows, {"batch_size": batch_size})


def find(model: str) -> VersionRef:
    """Resolve `models:/NAME@ALIAS` and the like to a version.

    Raises UserError for another form, and for an unknown name, alias or version with those that there are;
    RegistryUnreachable where no registry answers.
    """
    parts = MODEL.fullmatch(model.removeprefix("models:/"))
    if parts is None:
        raise UserError(f"{model}: names no version and no pulled folder; a model is {FORMS}")
    client = connect()
    with explained(tracking_address()):
        aliases = _aliases(client, parts["name"])
        number = aliases.get(parts["alias"]) if parts["alias"] else int(parts["version"])
        if number is None:
            there = ", ".join(sorted(aliases)) or "none"
            raise UserError(f"{model}: {parts['name']} has no alias '{parts['alias']}'; it has: {there}")
        _check_version(client, parts["name"], number)
    own = tuple(sorted(alias for alias, holder in aliases.items() if holder == number))
    return VersionRef(parts["name"], number, own)


def download(version: VersionRef, folder: Path) -> None:
    """Download a version's files into a folder, atomically; a folder of that name is replaced."""
    import mlflow.artifacts

    with _files_of(version), whole_folder(folder.resolve()) as aside:
        mlflow.artifacts.download_artifacts(artifact_uri=version.address, dst_path=str(aside))
        if not (aside / PACKAGE[0]).is_file():  # MLflow takes a folder that is not there for an empty one
            raise FileNotFoundError(version.address)
        check_package(aside, str(version))


def is_pulled(folder: Path) -> bool:
    """Return whether `download` made this folder."""
    return not missing_files(folder)


def load(model: str) -> LoadedStudent:
    """Load the student of a pulled folder, without a registry, or of a version."""
    folder = Path(model)
    if is_pulled(folder):
        return _loaded(model, folder)
    if folder.is_dir():
        raise UserError(f"{model}: a folder, but none that `pull` made: it lacks {', '.join(missing_files(folder))}")
    version = find(model)
    with tempfile.TemporaryDirectory(prefix="distilflow-") as made:
        download(version, Path(made) / "student")
        return _loaded(str(version), Path(made) / "student")


def _loaded(title: str, folder: Path) -> LoadedStudent:
    check_package(folder, title)
    os.environ.update({key: value for key, value in SETTINGS.items() if key not in os.environ})
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    model = mlflow.pyfunc.load_model(str(folder))
    try:
        scorer = model.unwrap_python_model()
    except MlflowException:
        scorer = None
    if not hasattr(scorer, "scoring"):
        raise UserError(f"{title} is not a student of distilflow: its code differs")
    return LoadedStudent(title, model, scorer, fingerprint(folder))


def _aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    """Alias -> version of a model. Raises UserError with similar names for an unknown model."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        known = [model.name for model in client.search_registered_models(max_results=LISTED_MODELS)]
        raise UserError(
            f"{name}: no such model in {without_password(tracking_address())}; {nearest(name, known)}"
        ) from None
    return {alias: int(number) for alias, number in found.aliases.items()}


def _check_version(client: "MlflowClient", name: str, number: int) -> None:
    """Raise UserError with the existing versions unless this one is among them."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        newest = sorted((int(one.version) for one in client.search_model_versions(f"name='{name}'")), reverse=True)
        more = ", ..." if len(newest) > LISTED_VERSIONS else ""
        there = ", ".join(map(str, newest[:LISTED_VERSIONS])) or "none"
        raise UserError(f"{name} has no version {number}; it has: {there}{more}") from None


@contextmanager
def _files_of(version: VersionRef) -> Generator[None]:
    """Raise UserError if the files of a version are missing or unreachable."""
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow.store.artifact.artifact_repo").setLevel(logging.WARNING)
    with explained(tracking_address()):
        try:
            yield
        except (FileNotFoundError, MlflowException) as error:
            if isinstance(error, MlflowException) and "No such artifact" not in error.message:
                raise
            raise UserError(
                f"{version}: its files are gone; `python -m tasks.register`, where the student was made, registers it again"
            ) from None


@contextmanager
def _data_errors() -> Generator[None]:
    """Convert the scorer's refusal of rows into UserError."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(error.message) from None
