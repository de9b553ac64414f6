"""The experiment of a benchmark's runs, and the location of its files: never MLflow's default.

Of a database the files go to `artifact_folder`, unless somebody made the experiment with another location (a bucket, a
shared disk). An experiment whose files nobody would find again is set aside under another name, or refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from errors import UserError
from paths import is_thrown_away, without_password
from registry.connection import artifact_folder, is_server

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
PROXIED = "mlflow-artifacts"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def open_experiment(client: "MlflowClient", name: str, address: str, say: Callable[[str], None]) -> str:
    """Id of a benchmark's experiment, created or restored if needed.

    Raises UserError where files would go to a folder that is not on this machine, or through a server that is not
    asked; `say` gets one line where one was set aside.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None and (lost := _lost(found.artifact_location)):
        aside = f"{name} (files lost, {found.experiment_id})"
        client.rename_experiment(found.experiment_id, aside)
        say(f"experiment {name}: its files went to {found.artifact_location}, {lost}; it is now named '{aside}'")
        found = None
    if found is None:
        folder = artifact_folder(address)
        try:
            made = client.create_experiment(name, artifact_location=str(folder / name) if folder else None)
        except MlflowException as error:
            if error.error_code != ALREADY_EXISTS:
                raise
            return open_experiment(client, name, address, say)  # another machine was quicker
        found = client.get_experiment(made)
    _check_location(found, address)
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def local_path(location: str) -> Path | None:
    """The folder of an artifact location on a disk; None for a bucket, a server and the like."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in location or parts.scheme == PROXIED else Path(location)


def _lost(location: str) -> str | None:
    """Return the reason why files at such a location would be lost; None if there is none."""
    path = local_path(location)
    if path is None:
        return None
    if not path.is_absolute():
        return "in whatever folder a command runs"
    return "in a folder that is removed after one run" if is_thrown_away(path) else None


def _check_location(experiment: "Experiment", address: str) -> None:
    """Raise UserError unless this process can write files there that others can find."""
    location, shown = experiment.artifact_location, without_password(address)
    path, own = local_path(location), artifact_folder(address)
    what = f"{shown}: experiment {experiment.name} keeps its files in {location}"
    rename = (
        f'`mlflow experiments rename --experiment-id {experiment.experiment_id} --new-name "{experiment.name} before"`, '
        "and the next run makes a new one"
    )
    if location.startswith(f"{PROXIED}:") and not is_server(address):
        raise UserError(
            f"{what}, which only an MLflow server can reach; set MLFLOW_TRACKING_URI to that server's address, or {rename}"
        )
    if path is None or (own is not None and path == own / experiment.name):
        return
    # MLflow makes the folder of a first experiment, and mlruns around it, only when a file comes.
    beside_server = (path.parent.parent,) if urlsplit(address).hostname in LOOPBACK else ()
    if any(folder.is_dir() for folder in (path, path.parent, *beside_server)):
        return
    if is_server(address):
        raise UserError(
            f"{what}, a folder of the server's own disk that is not on this machine; start the server with "
            f"--artifacts-destination, so that files go through it, and then {rename}; if the disk is this machine's: "
            f"`mkdir -p '{path}'`"
        )
    raise UserError(f"{what}, which is not on this machine; bring that folder back, or {rename}")
