"""The connection to MLflow: address, creation of a missing store, and errors with the way out.

MLFLOW_TRACKING_URI names a server or a database; without it the registry is a SQLite file in outputs/mlflow of the
repository's own checkout. MLflow is imported in here and not above: it costs a second.
"""

import contextlib
import fcntl
import logging
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import paths
from errors import UserError
from paths import lock_folder, sqlite_path, tracking_address, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVERS = ("http", "https")
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
DATABASES = ("postgresql", "mysql", "mssql")
# Module that SQLAlchemy asks for -> the package that has it, where the names differ.
DRIVERS = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
# What a database's driver says of a database that is not there now, or no longer.
GONE = (
    *("connection refused", "server closed the connection", "is starting up", "is shutting down"),
    *("terminating connection", "timeout expired", "could not translate host name", "lost connection"),
)
# Seconds that it may take to reach a server, its name looked up and all.
PATIENCE = 4.0
# MLflow's own settings, unless somebody set others: it would try a dead server for minutes, and talk to its makers.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}
# For the first questions, whatever else is set.
HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
# Lock files, in `lock_folder`.
OPENING, REGISTERING = paths.OPENING, "registering.lock"
NOISY = ("alembic", "mlflow.store.model_registry.abstract_store")
# It prints tracebacks of what `explained` says in one line.
SILENT = "mlflow.store.db.utils"
# What SQLite says of a disk that is full or may not be written -> the way out.
DISK = {
    "disk I/O error": "make room, or mend the disk,",
    "database or disk is full": "make room",
    "readonly database": "make it writable",
    "unable to open database file": "make its folder writable",
}


class RegistryUnreachable(UserError):
    """The server does not answer."""


def is_server(address: str) -> bool:
    """Return whether the address is an MLflow server's instead of a database's."""
    return urlsplit(address).scheme in SERVERS


def connect() -> "MlflowClient":
    """Connect to the registry, creating a missing SQLite store first.

    Raises RegistryUnreachable within ten seconds if a server does not answer, UserError for an address that can't
    be one and a store that can't be opened.
    """
    address = tracking_address()
    _check_address(address)
    os.environ.update({key: value for key, value in SETTINGS.items() if key not in os.environ})
    _quiet()
    import mlflow

    _quiet()  # MLflow set its levels while it was imported
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    from registry.relocated_store import correct_paths

    with explained(address):
        if sqlite_path(address) is None:
            _knock(address)
        if is_server(address):
            return _opened(address)
        # Two processes that open a fresh store at once would both create its tables, and die of it.
        with locked(lock_folder(address) / OPENING):
            _make_if_fresh(address)
            if (path := sqlite_path(address)) is not None:
                correct_paths(path)
            return _opened(address)


def _quiet() -> None:
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(SILENT).setLevel(logging.CRITICAL)


def artifact_folder(address: str) -> Path | None:
    """Return the folder or address for the files of new experiments; None if a server decides."""
    return None if is_server(address) else paths.artifact_folder(address)


@contextlib.contextmanager
def locked(path: Path, waiting: str = "") -> Generator[None]:
    """Hold a lock between processes of one machine, released with the process; print `waiting` if it is taken."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise UserError(
            f"{path}: can't be written ({error.strerror}); the registry needs its folder: make it writable, or name another "
            "registry by MLFLOW_TRACKING_URI"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def explained(address: str) -> Generator[None]:
    """Convert exceptions of MLflow and its libraries into UserError, or RegistryUnreachable, with one line of text."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RequestException, MlflowException) as error:
        reason = _no_answer(error)
        if reason is not None:
            raise RegistryUnreachable(
                f"{without_password(address)}: no answer from {_kind(address)} ({reason})"
            ) from None
        raise UserError(f"{without_password(address)}: {_line(error)}{_made_by_halves(address)}") from None
    except ModuleNotFoundError as error:  # of a database's driver
        package = DRIVERS.get(str(error.name), error.name)
        raise UserError(
            f"{without_password(address)}: needs the Python package {package}, which is not installed; "
            f"`pip install {package}`, or the address of an MLflow server in front of that database"
        ) from None
    except SQLAlchemyError as error:
        if said := _gone(error):
            raise RegistryUnreachable(
                f"{without_password(address)}: no answer from {_kind(address)} ({said})"
            ) from None
        way_out = "" if sqlite_path(address) else "; correct MLFLOW_TRACKING_URI, or what it names"
        raise UserError(f"{without_password(address)}: {_line(error)}{_made_by_halves(address)}{way_out}") from None


def _make_if_fresh(address: str) -> None:
    """Create the tables of a new store, with `artifact_folder` as the default for files.

    A SQLite file appears whole or not at all: tables made by halves could never be opened.
    """
    path, folder = sqlite_path(address), artifact_folder(address)
    if path is None:
        _try_database(address)
        _make_tables(address, folder)
        return
    if path.exists():
        return
    aside = path.with_name(f".{path.name}.partial")
    for left in path.parent.glob(f"{aside.name}*"):  # and its journal
        left.unlink()
    _make_tables(f"{paths.SQLITE}{aside}", folder)
    _opened(f"{paths.SQLITE}{aside}")
    aside.rename(path)


def _make_tables(address: str, folder: Path | None) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(address, str(folder)).engine.dispose()


def _try_database(address: str) -> None:
    """Connect once, because MLflow would retry a refusal (password, missing database) for an hour."""
    from sqlalchemy import create_engine

    limited = {"connect_timeout": round(PATIENCE)} if not address.startswith("mssql") else {}
    engine = create_engine(address, connect_args=limited)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _made_by_halves(address: str) -> str:
    """The way out for a store whose creation was interrupted; else empty.

    A store that is whole has an experiment, MLflow's own, from the start.
    """
    path = sqlite_path(address)
    if path is None or not path.is_file():
        return ""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            empty = store.execute("select count(*) from experiments").fetchone() == (0,)
    except sqlite3.Error:
        return ""
    return ". Whoever made this database was killed on the way, nothing is in it: delete it" if empty else ""


def _opened(address: str) -> "MlflowClient":
    """A client, after one request to the registry and one to the tracking store."""
    from mlflow import MlflowClient

    client = MlflowClient(address, address)
    kept = {key: os.environ.get(key, "") for key in HASTE}
    os.environ.update(HASTE)
    try:
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    finally:
        os.environ.update(kept)
    return client


def _knock(address: str) -> None:
    """Raise RegistryUnreachable unless the address accepts connections; skipped behind a proxy.

    In a thread, because looking up a name can't be given a time limit.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme.split("+")[0]]
    if not host or (parts.scheme in getproxies() and not proxy_bypass(host)):  # a database's socket is in a folder
        return
    outcome: list[OSError | None] = []

    def connect_once() -> None:
        try:
            socket.create_connection((host, port), timeout=PATIENCE).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=connect_once, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    error = outcome[0] if outcome else TimeoutError(f"nothing for {PATIENCE:.0f} seconds")
    if error is not None:
        raise RegistryUnreachable(f"{without_password(address)}: no answer ({(error.strerror or str(error)).lower()})")


def _no_answer(error: Exception) -> str | None:
    """Return why an error means that no server answered (or only a gateway without one); None if it was refused."""
    from requests.exceptions import HTTPError, RequestException

    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, HTTPError) and cause.response is not None:
            return f"status {cause.response.status_code}" if cause.response.status_code >= 500 else None
        if isinstance(cause, RequestException):
            text = _line(cause).lower()
            return next((known for known in ("connection refused", "timed out") if known in text), text[-100:])
    codes = [code for code in (502, 503, 504) if f"failed with error code {code}" in str(error)]
    return f"status {codes[0]}" if codes else _gone(error)


def _gone(error: Exception) -> str | None:
    """Return the driver's message about an unreachable database; None if it refused."""
    text = str(error).lower()
    return next((said for said in GONE if said in text), None)


def _kind(address: str) -> str:
    return "an MLflow server" if is_server(address) else "the database"


def _check_address(address: str) -> None:
    """Raise UserError unless the address can be that of a registry."""
    way_out = (
        "MLFLOW_TRACKING_URI must be http://HOST:PORT, https://..., sqlite:////FOLDER/mlflow.db or another database's "
        "address; unset it for the embedded registry"
    )
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise UserError(f"{without_password(address)}: not an address ({error}); {way_out}") from None
    scheme = parts.scheme.split("+")[0]
    if scheme in SERVERS and not has_host:
        raise UserError(f"{without_password(address)}: has no host name; {way_out}")
    if scheme not in (*SERVERS, *DATABASES) and sqlite_path(address) is None:
        raise UserError(f"{without_password(address)}: not an address of an MLflow server or database; {way_out}")


def _line(error: Exception) -> str:
    """The first lines of an error's text, on one line; a full disk is explained."""
    text = without_password(" ".join(str(error).partition("(Background on this error at")[0].split()))
    for said, way_out in DISK.items():
        if said in text:
            return f"the registry's file can't be written ({said}); {way_out} and run it again"
    return text[:300]
