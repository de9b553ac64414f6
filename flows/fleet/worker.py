"""`python -m flows worker`: check that this machine has all that a worker needs, then serve the queue of its environment.

It becomes Prefect's own worker, for process pools. What it starts is flows/fleet/child.py.
"""

import importlib.metadata
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

import paths
from errors import UserError
from flows.dvc_adapter.remote_files import RemoteFiles, remote_files
from flows.dvc_adapter.repository import open_unheld
from flows.fleet.queues import LOCK, MACHINE, ROOT, Pool, queue_of
from flows.fleet.submission import deploy
from flows.git import git
from flows.gpu import has_gpu
from flows.prefect_api import server_address

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
SHOWN = 3  # packages that are named; more are counted


def main(pool: Pool, limit: int, machine: str, *, check_only: bool = False) -> int:
    """Check, and serve until a signal; the exit status if it does not come to that."""
    root = Path.cwd()
    missing = list(problems(root, pool))
    for line in missing:
        print(f"python -m flows worker: {line}", file=sys.stderr)
    if missing:
        return 2
    queue, name = queue_of(pool, root), f"{machine}-{os.getpid()}"
    print(f"Worker {name}: pool {pool}, queue {queue}, {limit} at once.", flush=True)
    if check_only:
        return 0
    with get_client(sync_client=True) as client:
        deploy(client, pool)
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--type", "process"]
    command += ["--pool", pool, "--work-queue", queue, "--limit", str(limit), "--name", name]
    return _become(command, _environment(root, machine))


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.execve(command[0], command, environment)  # noqa: S606 (this interpreter)


def _quick() -> dict[str, str]:
    """Settings of Prefect by which a worker takes a stage within seconds, where the user has set nothing else."""
    own = {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_WORKER_HEARTBEAT_SECONDS": "15"}
    return {key: value for key, value in own.items() if key not in os.environ}


def problems(root: Path, pool: Pool) -> Iterator[str]:
    """All that is missing on this machine, a line each."""
    checks: tuple[Callable[[Path], str | None], ...] = (_git, _packages, _remote, _prefect)
    yield from filter(None, (check(root) for check in checks))
    if pool == "gpu" and not has_gpu():
        yield "pool gpu: no GPU here (or CUDA_VISIBLE_DEVICES hides it); a machine without one serves --pool cpu"


def _git(root: Path) -> str | None:
    if shutil.which("git") is None:
        return "git is not installed; it brings the code of each run"
    try:
        git(root, "rev-parse", "--git-dir")
    except UserError as error:
        return f"{error}; a worker runs in a clone of the project"
    return None


def _packages(root: Path) -> str | None:
    """Compare what is installed with the lock: the queue's name promises that they agree."""
    path = root / LOCK
    if not path.is_file():
        return None
    wrong = [f"{name} {version}" for name, version in PIN.findall(path.read_text("utf-8")) if _version(name) != version]
    if not wrong:
        return None
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"{LOCK} wants {', '.join(wrong[:SHOWN])}{more}, and that is not what is installed; `make setup`"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _remote(root: Path) -> str | None:
    """Write, read and delete a file on the remote."""
    try:
        with open_unheld(root) as repo:
            return _try(remote_files(repo), str(repo.default_remote))
    except UserError as error:
        return str(error)


def _try(files: RemoteFiles, remote: str) -> str | None:
    name, content = f"probes/{uuid.uuid4().hex}", b"a worker was here"
    try:
        files.write(name, content)
        same = files.read(name) == content
        files.remove(name)
    except Exception as error:  # each kind of remote has errors of its own
        words = " ".join(str(error).split()) or type(error).__name__
        return f"the DVC remote {remote!r} ({files.address}) can't be written and read: {paths.without_password(words)}"
    return None if same else f"the DVC remote {remote!r} ({files.address}) gives back other files than it was given"


def _prefect(root: Path) -> str | None:
    try:
        if server_address() is None:
            return "PREFECT_API_URL is not set: the address of the Prefect server that all machines share, as in http://HOST:4200/api"
        with get_client(sync_client=True) as client:
            client.read_work_pools(limit=1)
    except UserError as error:
        return str(error)
    except (PrefectException, httpx.HTTPError) as error:
        return f"the Prefect server does not answer: {paths.without_password(' '.join(str(error).split()))}"
    return None


def _environment(root: Path, machine: str) -> dict[str, str]:
    """The environment of Prefect's worker: its children find this checkout, and no settings of another project's folder."""
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(root)]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return (
        dict(os.environ)
        | {"PYTHONPATH": os.pathsep.join([str(root), *others]), "PATH": tools, ROOT: str(root), MACHINE: machine}
        | _quick()
    )
