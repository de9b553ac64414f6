"""Helpers of the tests of servers: free ports, an environment of their own, who listens where, waiting."""

import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
LISTENING = "0A"
LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def quiet_environment(**own: str) -> dict[str, str]:
    """This process's environment without settings of servers, and nothing phoning home."""
    foreign = ("PREFECT_", "MLFLOW_", "DISTILFLOW_", "PYTEST_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return kept | quiet | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | own


def copy_of_the_flows(folder: Path) -> Path:
    """Copy the code of this repository, without its parameters and outputs, to a folder of its own."""
    for package in ROOT.glob("*/__init__.py"):
        name = package.parent.name
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy2(path, folder / path.name)
    return folder


def listeners(port: int) -> set[str]:
    """The local addresses, as the kernel writes them, on which somebody listens at this port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, number = local.split(":")
            if state == LISTENING and int(number, 16) == port:
                found.add(address)
    return found


def answers(address: str, host: str | None = None) -> int:
    """Status of a GET; 0 if nobody answers."""
    request = urllib.request.Request(address, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_until(true: Callable[[], bool], seconds: float = 300.0) -> None:
    """Return once it is true; fail after this time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true within {seconds:.0f} s"
        time.sleep(0.2)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
