"""Hosts of a run over several machines: clones with a cache and a home of their own, a worker in each, one remote."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prefect_server import wait_until
from tiny_pipeline import TinyPipeline, tool_environment

from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.dvc_adapter.repository import open_repository

COUNTED = re.compile(r"(\d+) stages: (.+), \d+ s")


@dataclass
class Host:
    """A clone, and the worker in it if it has one."""

    name: str
    pipeline: TinyPipeline
    environment: dict[str, str]
    worker: "subprocess.Popen[bytes] | None" = None

    def children(self) -> list[psutil.Process]:
        """The processes of child runs on this host, as the worker started them."""
        if self.worker is None:
            return []
        found = psutil.Process(self.worker.pid).children()
        return [one for one in found if "prefect.engine" in " ".join(_command(one))]


@dataclass
class Hosts:
    """A parent, hosts with workers, and the remote that they share."""

    folder: Path
    parent: Host
    server: str
    workers: dict[str, Host] = field(default_factory=dict)

    def run(self, *options: str, host: Host | None = None) -> subprocess.CompletedProcess[str]:
        """Output of a run with the pool, in the parent or another clone."""
        with self.running(*options, host=host) as process:
            output, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    @contextlib.contextmanager
    def running(self, *options: str, host: Host | None = None) -> Generator["subprocess.Popen[str]"]:
        """Such a run as a process, which is gone afterwards."""
        at = host or self.parent
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "run", "--pool", "cpu", *options],
            cwd=at.pipeline.root,
            env=at.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def host(self, name: str) -> Host:
        """Another clone of the parent's present commit, with an empty cache and a home of its own."""
        root = self.folder / name
        done = self.parent.pipeline.run("git", "clone", "--quiet", ".", str(root))
        assert done.returncode == 0, done.stderr
        return Host(name, TinyPipeline(root), environment_of(self.folder, name, self.server))

    def start_worker(self, name: str) -> Host:
        """Start a worker in a clone, which is made if it is not there."""
        host = self.workers.get(name) or self.host(name)
        with (self.folder / f"{name}.log").open("ab") as log:
            host.worker = subprocess.Popen(
                [sys.executable, "-m", "flows", "worker", "--pool", "cpu", "--name", name],
                cwd=host.pipeline.root,
                env=host.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers[name] = host
        return host

    def stop(self) -> None:
        """End all workers and what they started."""
        for host in self.workers.values():
            if host.worker is not None:
                family = [psutil.Process(host.worker.pid), *psutil.Process(host.worker.pid).children(recursive=True)]
                for one in family:
                    with contextlib.suppress(psutil.Error):
                        one.kill()
                host.worker.wait()

    def times(self, note: str) -> int:
        """How often a line was noted by stages, wherever they ran."""
        path = self.folder / "notes"
        return path.read_text(encoding="utf-8").split("\n").count(note) if path.exists() else 0

    def note(self, text: str) -> str:
        """The shell command that notes a line."""
        return f"echo {text} >> {self.folder / 'notes'}"


def environment_of(folder: Path, name: str, server: str) -> dict[str, str]:
    """The environment of a host: its own home, the server of all."""
    home = folder / f"home-{name}"
    home.mkdir(exist_ok=True)
    own = {"HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "PREFECT_API_URL": server}
    return tool_environment() | own | {"DISTILFLOW_SHORT_STAGE": "0", "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5"}


def make_hosts(made: TinyPipeline, server: str, *names: str) -> Hosts:
    """Hosts beside a pipeline's folder that share a remote there; workers are started in those that are named."""
    folder = made.root.parent
    made.dvc("remote", "add", "--default", "store", str(folder / "store"))
    made.run("git", "commit", "--quiet", "--all", "--message", "remote")
    hosts = Hosts(folder, Host("parent", made, environment_of(folder, "parent", server)), server)
    for name in names:
        hosts.start_worker(name)
    return hosts


def entries(root: Path) -> dict[str, dict]:
    """The stages in a dvc.lock."""
    with open_repository(root) as repo:
        return RecordedRuns(repo).read()


def all_children(hosts: Hosts) -> Iterator[psutil.Process]:
    """The processes of child runs on all hosts, and all below them."""
    for host in hosts.workers.values():
        for one in host.children():
            yield one
            with contextlib.suppress(psutil.Error):
                yield from one.children(recursive=True)


def wait_for_note(hosts: Hosts, text: str, count: int = 1) -> None:
    """Wait until a stage has noted a line so often."""
    wait_until(lambda: hosts.times(text) >= count, f"{count} times {text!r}")


def ended(processes: list[psutil.Process], seconds: float) -> float | None:
    """Seconds until all processes have ended; None if they have not."""
    start = time.monotonic()
    return None if psutil.wait_procs(processes, timeout=seconds)[1] else time.monotonic() - start


def remove_outputs(host: Host) -> None:
    """Remove outputs and cache of a host."""
    for name in ("outputs", ".dvc/cache"):
        shutil.rmtree(host.pipeline.root / name, ignore_errors=True)


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
