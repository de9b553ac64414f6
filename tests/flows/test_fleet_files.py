"""What machines share on the remote: snapshots, tickets, pins; a real git repository, a remote in a folder."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from errors import UserError
from flows import run_cache
from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.dvc_adapter.remote_files import RemoteFiles, remote_files
from flows.dvc_adapter.repository import Repository, open_unheld
from flows.dvc_adapter.run_cache_entries import RUNS
from flows.fleet import snapshot, tickets
from flows.fleet.messages import ChildFailure, ChildResult, from_json, read_failure, read_result, to_json
from flows.fleet.queues import queue_of
from flows.fleet.tickets import Ticket
from flows.fleet.values import counted
from flows.git import git

TEACHER = "teacher@left-42"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A pipeline of one dataset in which everything ran and was pushed."""
    made = make_tiny_pipeline(
        tmp_path_factory.mktemp("files") / "ran", datasets=("left",), stages=("source", "teacher")
    )
    made.dvc("remote", "add", "--default", "store", "../store")
    made.dvc("repro")
    with open_unheld(made.root) as repo:
        run_cache.push(repo)
    return made


@pytest.fixture
def tiny(ran: TinyPipeline, tmp_path: Path) -> TinyPipeline:
    shutil.copytree(ran.root.parent / "store", tmp_path / "store")
    return TinyPipeline(Path(shutil.copytree(ran.root, tmp_path / "tiny", symlinks=True)))


@pytest.fixture
def repo(tiny: TinyPipeline) -> Iterator[Repository]:
    with open_unheld(tiny.root) as repository:
        yield repository


@pytest.fixture
def files(repo: Repository) -> RemoteFiles:
    return remote_files(repo)


# --- files


def test_a_file_is_written_read_and_removed(files: RemoteFiles) -> None:
    assert files.read("a/b") is None and not files.exists("a/b")
    files.write("a/b", b"one")
    files.write("a/b", b"two")
    assert files.read("a/b") == b"two" and files.exists("a/b")
    files.remove("a/b")
    assert not files.exists("a/b")


def test_of_many_who_create_a_file_at_once_one_does(files: RemoteFiles) -> None:
    made: list[int] = []
    go = threading.Event()

    def create(number: int) -> None:
        go.wait()
        if files.create("pins/one", str(number).encode() * 100):
            made.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and files.read("pins/one") == str(made[0]).encode() * 100


def test_without_a_remote_there_is_one_error_with_the_way_out(tiny: TinyPipeline) -> None:
    tiny.dvc("remote", "default", "--unset")
    with open_unheld(tiny.root) as without, pytest.raises(UserError, match="dvc remote add --default"):
        remote_files(without)


# --- snapshots


def test_a_snapshot_holds_what_is_not_committed_and_touches_nothing(
    tiny: TinyPipeline, files: RemoteFiles, tmp_path: Path
) -> None:
    (tiny.root / "scripts" / "teacher").write_text("changed\n", encoding="utf-8")
    (tiny.root / "scripts" / "source").unlink()
    (tiny.root / "new file.txt").write_text("new\n", encoding="utf-8")
    tiny.run("git", "add", "new file.txt")
    before = tiny.run("git", "status", "--porcelain", "--ignored").stdout
    objects = sorted((tiny.root / ".git" / "objects").rglob("*"))
    commit = snapshot.publish(tiny.root, files)
    assert tiny.run("git", "status", "--porcelain", "--ignored").stdout == before
    assert sorted((tiny.root / ".git" / "objects").rglob("*")) == objects
    assert tiny.run("git", "for-each-ref").stdout.count("\n") == 1

    other = tmp_path / "other"
    tiny.run("git", "clone", "--quiet", str(tiny.root), str(other))
    for _ in range(2):  # the second finds it there
        snapshot.fetch(other, commit, files)
    snapshot.check_out(other, commit, tmp_path / "tree")
    assert (tmp_path / "tree" / "scripts" / "teacher").read_text(encoding="utf-8") == "changed\n"
    assert (tmp_path / "tree" / "new file.txt").is_file()
    assert not (tmp_path / "tree" / "scripts" / "source").exists() and not (tmp_path / "tree" / "outputs").exists()
    assert git(other, "for-each-ref", "refs/heads").count("\n") == 1


def test_the_same_files_are_the_same_commit_whoever_has_them_and_others_another(
    tiny: TinyPipeline, files: RemoteFiles, tmp_path: Path
) -> None:
    commit = snapshot.publish(tiny.root, files)
    tiny.run("git", "-c", "user.name=Else", "commit", "--allow-empty", "--message", "another history")
    assert snapshot.publish(tiny.root, files) == commit
    (tiny.root / "dvc.lock").write_text("of another moment\n", encoding="utf-8")
    assert snapshot.publish(tiny.root, files) == commit
    (tiny.root / "params.yaml").write_text("{}\n", encoding="utf-8")
    assert snapshot.publish(tiny.root, files) != commit


def test_of_a_repository_in_a_folder_of_another_only_the_folder_is_taken(
    files: RemoteFiles, tmp_path: Path, tiny: TinyPipeline
) -> None:
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    (outer / "inner" / "a").write_text("a\n", encoding="utf-8")
    (outer / "b").write_text("b\n", encoding="utf-8")
    tiny.run("git", "init", "--quiet", str(outer))
    commit = snapshot.publish(outer / "inner", files)
    snapshot.fetch(tiny.root, commit, files)
    assert git(tiny.root, "ls-tree", "-r", "--name-only", commit).split() == ["a"]


def test_a_snapshot_that_is_not_on_the_remote_is_one_error(tiny: TinyPipeline, files: RemoteFiles) -> None:
    with pytest.raises(UserError, match="is the worker's DVC remote the one of the run"):
        snapshot.fetch(tiny.root, "0" * 40, files)


# --- tickets and messages


def test_a_ticket_comes_back_as_it_was_written(files: RemoteFiles) -> None:
    ticket = Ticket(TEACHER, "0" * 40, "1" * 64, {"source@left": {"cmd": "x", "params": {"params.yaml": {"a": 1e-05}}}})
    tickets.write(files, ticket)
    assert tickets.read(files, ticket.key) == ticket
    with pytest.raises(UserError, match="no ticket"):
        tickets.read(files, "2" * 64)
    files.write(f"tickets/{'3' * 64}.json", b'{"stage": "x"}')
    with pytest.raises(UserError, match="not a ticket of this release"):
        tickets.read(files, "3" * 64)


def test_a_result_and_a_failure_are_words_that_can_be_read_back() -> None:
    result = ChildResult("ran", 12.3, "host-1", "Some CPU (R) 2.0 GHz", "a" * 64)
    failure = ChildFailure(3, "host", ("line (1)", "", "last"))
    assert read_result(result.text()) == from_json(to_json(result)) == result
    assert read_failure(failure.text()) == from_json(to_json(failure)) == failure
    assert read_result(failure.text()) is None
    assert read_failure("Flow run infrastructure\nexited").tail == ("Flow run infrastructure", "exited")


def test_the_queue_names_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "requirements.lock").write_text("a==1\n", encoding="utf-8")
    first = queue_of("cpu", tmp_path)
    (tmp_path / "requirements" / "requirements.lock").write_text("a==2\n", encoding="utf-8")
    assert first != queue_of("cpu", tmp_path) != queue_of("gpu", tmp_path)
    assert len(first) == len("cpu-") + 8


# --- values


def other_value(tiny: TinyPipeline, key: str) -> str:
    """Put a second result of a key on the remote, as another machine would; its name."""
    tiny.script("teacher", (tiny.root / "scripts" / "teacher").read_text(encoding="utf-8").rstrip("\n"))
    runs = tiny.root / ".dvc" / "cache" / "runs"
    (first,) = (runs / key[:2] / key).iterdir()
    shutil.rmtree(runs)
    tiny.output("teacher", "left", "42").unlink()
    tiny.output("teacher", "left", "42").write_text("another\n", encoding="utf-8")
    tiny.dvc("commit", "--force", TEACHER)
    (second,) = (path for path in (runs / key[:2] / key).iterdir() if path.name != first.name)
    with open_unheld(tiny.root) as repo:
        run_cache.push(repo, [TEACHER])
    return second.name


def test_the_first_value_that_was_merged_counts_for_everybody(
    tiny: TinyPipeline, repo: Repository, files: RemoteFiles
) -> None:
    recorded = RecordedRuns(repo)
    names = recorded.recorded_names(TEACHER)
    assert names is not None
    key, first = names
    value = counted(repo, files, key)
    assert value is not None and value.name == first and value.entry == recorded.entry(TEACHER)
    assert files.read(f"pins/{key}") == first.encode()
    second = other_value(tiny, key)
    assert second != first
    late = counted(repo, files, key, second)
    assert late is not None and late.name == first
    files.remove(f"pins/{key}")
    again = counted(repo, files, key, second)
    assert again is not None and again.name == second
    assert counted(repo, files, "0" * 64) is None


def test_a_value_that_is_forged_or_whose_objects_are_gone_does_not_count(
    tiny: TinyPipeline, repo: Repository, files: RemoteFiles
) -> None:
    names = RecordedRuns(repo).recorded_names(TEACHER)
    assert names is not None
    key, name = names
    path = tiny.root.parent / "store" / RUNS / key[:2] / key / name
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content.replace(b"outputs/teacher/left/42", b"outputs/teacher/../../x"))
    assert counted(repo, files, key) is None
    path.write_bytes(content)
    shutil.move(tiny.root.parent / "store" / "files", tiny.root.parent / "away")
    assert counted(repo, files, key) is None
    assert files.read(f"pins/{key}") is None
    shutil.move(tiny.root.parent / "away", tiny.root.parent / "store" / "files")
    assert counted(repo, files, key) is not None


def test_a_pin_that_names_a_result_which_is_gone_says_what_to_do(repo: Repository, files: RemoteFiles) -> None:
    names = RecordedRuns(repo).recorded_names(TEACHER)
    assert names is not None
    files.write(f"pins/{names[0]}", b"f" * 64)
    with pytest.raises(UserError, match="delete this file"):
        counted(repo, files, names[0])
