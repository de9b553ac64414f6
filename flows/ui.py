"""MLflow's and Prefect's user interfaces on this machine, bound to loopback.

    python -m flows ui [--prefect-port 4200] [--mlflow-port 5000]

MLflow shows the embedded registry, or the database that MLFLOW_TRACKING_URI names; where that is a server, its address
is printed and nothing is started. Prefect keeps its database in outputs/prefect, unless PREFECT_HOME is set: what is
scheduled here does not mix with other projects. Its API asks for an auth string, which lies beside the database: any
web page in a browser of this machine reaches a server on loopback, and who may start runs may run commands. Ctrl-C
stops both.
"""

import os
import sys
from pathlib import Path

import paths
from errors import UserError
from flows import auth_string
from flows.servers import LOOPBACK, Server, serve

QUIET = {
    # Background jobs of MLflow's server (evaluations of language models): processes that nobody here needs.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # MLflow's own list lets `10.*` through, which a web page's name can be, such as 10.example.org.
    "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost,localhost:*,127.0.0.1,127.0.0.1:*",
}


def main(prefect_port: int, mlflow_port: int) -> int:
    """Run the servers until Ctrl-C; return the exit status."""
    registry = paths.tracking_address()
    servers = [prefect_server(prefect_port)]
    if not _is_server(registry):
        servers.insert(0, mlflow_server(mlflow_port, registry))
    if prefect_port == mlflow_port and len(servers) > 1:
        raise UserError(f"--prefect-port and --mlflow-port are both {mlflow_port}; they must differ")
    names = " and ".join(server.name for server in servers)
    print(f"Starting {names} ...", flush=True)
    serve(servers, lambda: print(_announcement(servers, registry), flush=True))
    print(f"Stopped {names}.")
    return 0


def mlflow_server(port: int, registry: str) -> Server:
    """MLflow on a database, with new experiments' artifacts in the folder that `register` uses."""
    folder, database = paths.registry_folder(), paths.sqlite_path(registry)
    artifacts = paths.artifact_folder(registry)
    fresh = database is not None and not database.exists()
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--artifacts-destination", str(artifacts)),
        # What is registered through it is found without it, too.
        *("--default-artifact-root", str(artifacts)),
    )
    return Server(
        name="MLflow",
        command=command,
        port=port,
        option="--mlflow-port",
        health="/health",
        folder=folder,
        # Not an argument: other users of the machine can read those, and it may hold a password.
        environment=_environment({"MLFLOW_BACKEND_STORE_URI": registry}),
        lock=paths.lock_folder(registry) / paths.OPENING,
        # MLflow makes its tables in place: a server that is killed on the way leaves what nobody can open.
        first=(sys.executable, "-m", "registry.database") if fresh else (),
    )


def prefect_server(port: int) -> Server:
    """Prefect's server with its scheduler."""
    folder = prefect_folder()
    origins = ",".join(f"http://{host}:{port}" for host in (LOOPBACK, "localhost"))
    own = {
        "PREFECT_HOME": str(folder),
        auth_string.SERVER: auth_string.server_auth_string(folder),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": os.environ.get("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS") or origins,
        "PREFECT_API_URL": "",  # of a client; a server that reads another server's address would use it
        "PREFECT_SERVER_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
        # Who holds a slot of a limit is remembered over a restart; in memory, a slot would stay taken for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # Its pages are made anew for each address; unless told, beside its code, where a user may not write.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
    }
    server = ("prefect", "--no-prompt", "server", "start", "--host", LOOPBACK, "--port", str(port))
    return Server(
        name="Prefect",
        command=(sys.executable, "-m", *server),
        port=port,
        option="--prefect-port",
        health="/api/health",
        folder=folder,
        environment=_environment(own),
        lock=folder / paths.OPENING,  # a run without an API starts a server of its own on the same database
    )


def prefect_folder() -> Path:
    """The folder of Prefect's database and of its API's auth string."""
    return Path(os.environ.get("PREFECT_HOME") or paths.home() / "outputs" / "prefect").expanduser().absolute()


def _announcement(servers: list[Server], registry: str) -> str:
    """The addresses, the variables for another terminal, and next steps."""
    addresses = {server.name: server.address for server in servers}
    mlflow = addresses.get("MLflow", paths.without_password(registry))
    where = "" if "MLflow" in addresses else " (MLFLOW_TRACKING_URI; not started here)"
    folder = prefect_folder()
    return "\n".join(
        [
            f"  MLflow   {mlflow}{where}   registered students: {mlflow}/#/models",
            f"  Prefect  {addresses['Prefect']}   runs of the flow, schedules",
            f"           its login takes {auth_string.login(folder)}",
            "In another terminal:",
            f"  export PREFECT_API_URL={addresses['Prefect']}/api",
            f"  {auth_string.export_line(folder)}",
            f"  export MLFLOW_TRACKING_URI={mlflow}   # only for programs outside this folder",
            "Next: python -m flows run   there; the run shows up in Prefect, its students in MLflow.",
            "Ctrl-C here stops what was started.",
        ]
    )


def _is_server(address: str) -> bool:
    """Return whether it is the address of a server instead of a database."""
    return address.startswith(("http://", "https://"))


def _environment(own: dict[str, str]) -> dict[str, str]:
    """This process's environment with telemetry off (flows/settings.py), and a server's own variables."""
    return QUIET | dict(os.environ) | own
