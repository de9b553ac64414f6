"""Registering at a real MLflow server that proxies artifacts, which dies in the middle and comes back."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from small_outputs import NAME, Place

from registry import versions

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("registry")]


@contextlib.contextmanager
def server(folder: Path, port: int) -> Generator[subprocess.Popen[bytes]]:
    """A server on loopback that answers; ended with all its workers."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'served.db'}"]
    command += ["--artifacts-destination", str(folder / "served")]
    with (folder / "server.log").open("ab") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(240):
            with contextlib.suppress(OSError), opener.open(f"http://127.0.0.1:{port}/health", timeout=2):
                break
            time.sleep(0.5)
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def test_a_server_that_dies_in_the_middle_is_caught_up_with(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    place.another_seed(7, selection=-0.1, rows=-0.1)
    place.params(seeds=[42, 7])
    logged = versions.log_run
    with server(tmp_path, port) as started:

        def die_at_the_second(*given, **named):
            run_id = logged(*given, **named)
            if given[2].seed == 7:
                os.killpg(started.pid, signal.SIGKILL)
            return run_id

        with monkeypatch.context() as patched:
            patched.setattr(versions, "log_run", die_at_the_second)
            ended = place.register()
        assert ended.status == 0, ended.errors
        assert "1 new of 2 students, the registry does not answer" in ended.output
        assert place.registered()["reachable"] is False
        assert [place.entry(seed)["version"] for seed in (42, 7)] == [1, None]
    with server(tmp_path, port):
        ended = place.register()
        assert "1 new of 2 students" in ended.output, ended.errors
        assert "deleted 1 unfinished run" in ended.errors
        registry = MlflowClient(address, address)
        assert sorted(int(one.version) for one in registry.search_model_versions(f"name = '{NAME}'")) == [1, 2]
        assert len(registry.search_runs(["1"])) == 2
        assert place.entry(7)["aliases"] == ["candidate", "champion"]
        assert place.entry(7)["url"] == f"{address}/#/models/{NAME}/versions/2"
