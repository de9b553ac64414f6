"""The shared files and a stage's results on S3, by moto's server in memory; skipped where moto or dvc-s3 is not installed."""

import importlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_servers import answers, free_ports, wait_until
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from flows.dvc_adapter.recorded_runs import RecordedRuns, on_remote
from flows.dvc_adapter.remote_files import RemoteFiles, remote_files
from flows.dvc_adapter.repository import Repository, open_unheld
from flows.fleet import snapshot
from flows.fleet.values import counted
from flows.fleet.worker import problems

MISSING = [name for name in ("moto", "dvc_s3", "flask") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; `make s3`, pip install 'moto[server]'"
    ),
]
TEACHER = "teacher@left-42"


@dataclass(frozen=True)
class OnS3:
    """A pipeline that ran, its repository and our files on the remote."""

    tiny: TinyPipeline
    repo: Repository
    files: RemoteFiles


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server with a bucket `store`."""
    (port,) = free_ports(1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "tester")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(address) == 200)
        client = importlib.import_module("botocore.session").get_session().create_client("s3", endpoint_url=address)
        client.create_bucket(Bucket="store")
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def made(store: str, tmp_path: Path) -> Iterator[OnS3]:
    tiny = make_tiny_pipeline(tmp_path / "tiny", datasets=("left",), stages=("source", "teacher"))
    tiny.dvc("remote", "add", "--default", "store", "s3://store/team")
    tiny.dvc("remote", "modify", "store", "endpointurl", store)
    tiny.dvc("repro")
    with open_unheld(tiny.root) as repo:
        yield OnS3(tiny, repo, remote_files(repo))


def test_of_many_who_create_a_file_on_s3_at_once_one_does(made: OnS3) -> None:
    wins: list[int] = []
    go = threading.Event()

    def create(number: int) -> None:
        go.wait()
        if made.files.create("pins/one", str(number).encode()):
            wins.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(wins) == 1 and made.files.read("pins/one") == str(wins[0]).encode()


def test_snapshots_results_and_pins_go_to_s3_and_come_back(made: OnS3, tmp_path: Path) -> None:
    commit = snapshot.publish(made.tiny.root, made.files)
    made.tiny.run("git", "clone", "--quiet", ".", str(tmp_path / "other"))
    snapshot.fetch(tmp_path / "other", commit, made.files)
    recorded = RecordedRuns(made.repo)
    names = recorded.recorded_names(TEACHER)
    assert names is not None
    assert counted(made.repo, made.files, names[0]) is None
    assert recorded.push([TEACHER, "source@left"]) == [TEACHER, "source@left"]
    assert recorded.push([TEACHER, "source@left"]) == []
    value = counted(made.repo, made.files, names[0])
    assert value is not None and value.name == names[1]
    outputs = set(recorded.outputs([TEACHER]).values())
    assert on_remote(made.repo, {*outputs, "0" * 32}) == outputs


def test_a_wrong_key_is_one_line(made: OnS3, monkeypatch: pytest.MonkeyPatch) -> None:
    made.tiny.dvc("remote", "modify", "store", "endpointurl", "http://127.0.0.1:9")
    found = [line for line in problems(made.tiny.root, "cpu") if "remote" in line]
    assert len(found) == 1 and "\n" not in found[0] and "s3://store/team/fleet" in found[0]
