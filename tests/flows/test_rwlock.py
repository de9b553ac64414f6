"""DVC's note of who is at work: only what nobody can stand behind goes, and DVC then runs again."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dvc.lock import make_lock
from tiny_pipeline import make_tiny_pipeline

from flows.rwlock import CLOCKS_S, repair

LONG_AGO = time.time() - 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The part of a repository that matters here: its .dvc."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def other() -> Iterator[int]:
    """The number of a process that is no DVC."""
    process = subprocess.Popen(["sleep", "300"])
    yield process.pid
    process.kill()
    process.wait()


def note(root: Path, pid: int, *, of: float | None = None) -> Path:
    """Leave an entry of that process for a source's output and, as a reader, for its script."""
    path = root / ".dvc/tmp/rwlock"
    path.parent.mkdir(exist_ok=True)
    entry = {"pid": pid, "cmd": "dvc repro -s source@left"}
    written = {str(root / "outputs/source/left"): entry}
    path.write_text(json.dumps({"write": written, "read": {str(root / "scripts/source"): [entry]}}))
    if of is not None:
        os.utime(path, (of, of))
    return path


def test_without_a_note_there_is_nothing_to_repair(root: Path) -> None:
    assert repair(root) is None


def test_an_entry_whose_number_is_a_later_process_s_goes_and_dvc_runs(tmp_path: Path, other: int) -> None:
    tiny = make_tiny_pipeline(tmp_path / "a tiny one")
    path = note(tiny.root, other, of=LONG_AGO)
    blocked = tiny.run("dvc", "repro", "-s", "source@left")
    assert blocked.returncode and f"PID {other}" in blocked.stdout + blocked.stderr
    said = repair(tiny.root)
    assert said is not None and str(other) in said
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}
    assert "Running stage" in tiny.dvc("repro", "-s", "source@left").stdout


@pytest.mark.parametrize("ago", [0.0, CLOCKS_S / 2])
def test_an_entry_of_a_process_that_may_have_made_it_stays(root: Path, other: int, ago: float) -> None:
    path = note(root, other, of=time.time() - ago)
    before = path.read_bytes()
    assert repair(root) is None
    assert path.read_bytes() == before


def test_other_entries_stay_when_one_goes(root: Path, other: int) -> None:
    path = note(root, other)
    kept = {"pid": os.getpid(), "cmd": "dvc repro"}
    content = json.loads(path.read_text(encoding="utf-8"))
    content["write"]["elsewhere"] = kept
    content["read"][str(root / "scripts/source")].append(kept)
    path.write_text(json.dumps(content), encoding="utf-8")
    # Of an age that only the older of the two can have written it: this process, however young the machine is.
    starts = [psutil.Process(pid).create_time() for pid in (os.getpid(), other)]
    assert starts[0] < starts[1]
    written = sum(starts) / 2 - CLOCKS_S
    os.utime(path, (written, written))
    assert repair(root)
    left = json.loads(path.read_text(encoding="utf-8"))
    assert left == {"write": {"elsewhere": kept}, "read": {str(root / "scripts/source"): [kept]}}


def test_a_note_that_another_dvc_is_writing_is_not_taken_for_a_cut_one(root: Path) -> None:
    path = note(root, os.getpid())
    with make_lock(str(path.with_name("rwlock.lock"))):
        path.write_text("")
        said: list[str | None] = []
        thread = threading.Thread(target=lambda: said.append(repair(root)))
        thread.start()
        thread.join(timeout=1)
        assert thread.is_alive()
        path.write_text('{"write": {}, "read": {}}')
    thread.join(timeout=20)
    assert said == [None]
    assert path.exists()
