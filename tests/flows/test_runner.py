"""The runner of one stage: what DVC did is reported, output comes as it is written, and nothing is left behind."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from local_servers import wait_until
from tiny_pipeline import TinyPipeline, make_tiny_pipeline, tool_environment

from flows.runner import Runner, StageFailed, StageStopped, clean_lines
from flows.stage_task import level_of


@pytest.fixture
def tiny(tmp_path: Path) -> TinyPipeline:
    return make_tiny_pipeline(tmp_path / "tiny")


@pytest.fixture
def runner(tiny: TinyPipeline) -> Iterator[Runner]:
    made = Runner(tiny.root)
    yield made
    made.stop()


def cleaned(text: bytes) -> list[str]:
    return list(clean_lines(io.BytesIO(text)))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"one\n\n  \ntwo", ["one", "two"]),
        (b"\r  1%|\r 50%|##\r100%|####\n", ["100%|####"]),
        (b"\r 10%|#\r        \rsaved\n", ["saved"]),
        (b"windows\r\n", ["windows"]),
        (b"\x1b[31mred\x1b[0m\n", ["red"]),
        (b"\xff broken\n", ["\ufffd broken"]),
    ],
)
def test_of_a_progress_bar_only_the_last_state_is_shown(written: bytes, shown: list[str]) -> None:
    assert cleaned(written) == shown


@pytest.mark.parametrize("trial", ["", "mse_kd.temperature=4"], ids=["as params.yaml has it", "other values"])
def test_a_stage_is_told_of_which_trial_it_is_and_of_none_whatever_the_environment_says(
    tiny: TinyPipeline, monkeypatch: pytest.MonkeyPatch, trial: str
) -> None:
    monkeypatch.setenv("DISTILFLOW_TRIAL", "left over")
    tiny.script("source", "mkdir -p outputs/source; echo trial=$DISTILFLOW_TRIAL > outputs/source/$2")
    made = Runner(tiny.root, trial)
    made.run("source@left", print)
    made.stop()
    assert tiny.output("source", "left").read_text() == f"trial={trial}\n"


def test_a_stage_runs_and_then_is_unchanged_and_then_restored_from_the_cache(
    tiny: TinyPipeline, runner: Runner
) -> None:
    lines: list[str] = []
    assert runner.run("source@left", lines.append).outcome == "ran"
    assert lines == ["Running stage 'source@left':", "> sh scripts/source --dataset left"]
    assert runner.run("source@left", lines.append).outcome == "unchanged"
    tiny.output("source", "left").unlink()
    assert runner.run("source@left", lines.append).outcome == "restored"
    assert tiny.output("source", "left").read_text() == "rows of left\n"


def test_lines_come_while_the_stage_runs(tiny: TinyPipeline, runner: Runner) -> None:
    tiny.script(
        "source",
        "echo early; while [ ! -e go ]; do sleep 0.05; done; mkdir -p outputs/source; echo > outputs/source/$2",
    )
    seen_before_the_end: list[str] = []

    def say(line: str) -> None:
        if line == "early":
            seen_before_the_end.append(line)
            (tiny.root / "go").touch()

    runner.run("source@left", say)
    assert seen_before_the_end == ["early"]


def test_a_failure_holds_the_last_thirty_lines_and_the_status_of_the_stage(tiny: TinyPipeline, runner: Runner) -> None:
    tiny.script("source", "for i in $(seq 100); do echo line $i; done; echo no such value >&2; exit 2")
    with pytest.raises(StageFailed) as failure:
        runner.run("source@left", lambda line: None)
    tail = failure.value.tail
    assert failure.value.status == 2
    assert len(tail) == 30
    assert tail[-3:-1] == ("line 100", "no such value")
    assert "exited with 2" in tail[-1]
    assert "line 74" in str(failure.value)
    assert not failure.value.is_transient


@pytest.mark.parametrize(
    ("words", "is_transient"),
    [
        ("ConnectionResetError: [Errno 104] Connection reset by peer", True),
        ("Temporary failure in name resolution", True),
        ("503 Server Error: Service Unavailable", True),
        ("teacher.epochs: 0 is not allowed: input should be greater than or equal to 1", False),
        ("RuntimeError: mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_only_failures_that_may_pass_are_worth_another_try(words: str, is_transient: bool) -> None:
    assert StageFailed("source@left", 1, ("start", words, "end")).is_transient is is_transient


def test_a_path_that_another_process_holds_is_waited_for(tiny: TinyPipeline, runner: Runner) -> None:
    for name in ("source@left", "source@right", "teacher@left-42"):
        runner.run(name, lambda line: None)
    tiny.script(
        "teacher",
        "touch reads; while [ ! -e go ]; do sleep 0.05; done; mkdir -p outputs/teacher/$2; echo > outputs/teacher/$2/$4",
    )
    other = subprocess.Popen(
        ["dvc", "repro", "-s", "teacher@left-42"], cwd=tiny.root, env=tool_environment(), stdout=subprocess.DEVNULL
    )
    wait_until((tiny.root / "reads").exists)
    tiny.script("source", "echo new; mkdir -p outputs/source; echo new > outputs/source/$2")
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        (tiny.root / "go").touch()  # the first line says that it waits

    assert runner.run("source@left", say).outcome == "ran"
    assert other.wait() == 0
    assert lines[0].startswith("waits: ") and "is busy" in lines[0]
    assert [line for line in lines if "ERROR" in line and not line.startswith("waits: ")] == []
    assert lines[-1] == "new"


def test_a_path_held_for_too_long_is_a_failure_that_names_the_holder(tiny: TinyPipeline, runner: Runner) -> None:
    runner.run("source@left", lambda line: None)
    (tiny.root / ".dvc/tmp/rwlock").write_text(
        json.dumps({"write": {str(tiny.output("source", "left")): {"pid": os.getpid(), "cmd": "somebody"}}, "read": {}})
    )
    runner.patience = 0
    with pytest.raises(StageFailed, match="somebody"):
        runner.run("source@left", lambda line: None)


def test_stopping_ends_every_process_of_a_stage_and_leaves_no_lock(tiny: TinyPipeline, runner: Runner) -> None:
    # One that ends by itself, one that is deaf to everything but KILL, one in a session of its own.
    tiny.script("source", "(trap '' INT TERM; sleep 321) & setsid sleep 321 & sleep 321")
    others = set(psutil.Process().children(recursive=True))  # other tests' servers, in the same process
    ended: list[BaseException] = []
    thread = threading.Thread(target=lambda: run_into(ended, runner, "source@left"))
    thread.start()
    family: set[psutil.Process] = set()

    def three_sleep() -> bool:
        family.update(set(psutil.Process().children(recursive=True)) - others)
        return len([one for one in family if named(one) == "sleep"]) == 3

    wait_until(three_sleep)
    runner.stop()
    thread.join(timeout=300)
    assert isinstance(ended[0], StageStopped)
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    tiny.script("source", "mkdir -p outputs/source; echo again > outputs/source/$2")
    assert tiny.dvc("repro", "-s", "source@left").stdout.count("Running stage") == 1
    assert not json.loads((tiny.root / ".dvc/tmp/rwlock").read_text()).get("write")


def test_stages_of_a_flow_that_was_killed_are_ended(tiny: TinyPipeline) -> None:
    # The file is there, with the number in it, only once the process is.
    tiny.script("source", "sleep 432 & echo $! > starting; mv starting started; wait")
    code = f"from pathlib import Path; from flows.runner import Runner; Runner(Path({str(tiny.root)!r})).run('source@left', print)"
    flow = subprocess.Popen([sys.executable, "-c", code], env=tool_environment(), stdout=subprocess.DEVNULL)
    wait_until((tiny.root / "started").exists)
    family = psutil.Process(flow.pid).children(recursive=True)
    assert int((tiny.root / "started").read_text(encoding="utf-8")) in {one.pid for one in family}
    flow.kill()
    flow.wait()
    assert psutil.wait_procs(family, timeout=300)[1] == []


def test_what_a_killed_dvc_left_in_the_lock_file_blocks_nobody(tiny: TinyPipeline, runner: Runner) -> None:
    tiny.script("source", "touch started; sleep 30")
    killed = subprocess.Popen(
        ["dvc", "repro", "-s", "source@left"], cwd=tiny.root, env=tool_environment(), start_new_session=True
    )
    wait_until((tiny.root / "started").exists)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert str(killed.pid) in (tiny.root / ".dvc/tmp/rwlock").read_text()
    tiny.script("source", "mkdir -p outputs/source; echo again > outputs/source/$2")
    assert runner.run("source@left", lambda line: None).outcome == "ran"


@pytest.mark.parametrize("left", ["", '{"write": {"outp', '["no note"]'])
def test_a_lock_file_of_dvc_that_a_kill_cut_is_removed_and_the_stage_runs(
    tiny: TinyPipeline, runner: Runner, left: str
) -> None:
    lock = tiny.root / ".dvc/tmp/rwlock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(left)
    lines: list[str] = []
    assert runner.run("source@left", lines.append).outcome == "ran"
    assert lines[0].startswith("removed .dvc/tmp/rwlock")
    assert not any("ERROR" in line for line in lines)
    assert json.loads(lock.read_text()) is not None


def test_a_lock_file_that_is_cut_each_time_is_a_failure_that_names_it(tiny: TinyPipeline, runner: Runner) -> None:
    tiny.script("source", "mkdir -p outputs/source; echo $$ > outputs/source/$2; : > .dvc/tmp/rwlock")
    with pytest.raises(StageFailed, match=r"\.dvc/tmp/rwlock"):
        runner.run("source@left", lambda line: None)


def test_a_stopped_runner_starts_nothing(tiny: TinyPipeline, runner: Runner) -> None:
    runner.stop()
    with pytest.raises(StageStopped):
        runner.run("source@left", lambda line: None)
    assert not tiny.output("source").exists()


def test_a_stage_sees_no_secret_and_finds_the_interpreter(
    tiny: TinyPipeline, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILFLOW_WEBHOOK", "https://example.org/secret")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    tiny.script("source", "env | grep -c WEBHOOK; which python; mkdir -p outputs/source; echo > outputs/source/$2")
    lines: list[str] = []
    runner.run("source@left", lines.append)
    assert lines[-2:] == ["0", str(Path(sys.executable).with_name("python"))]


def run_into(ended: list[BaseException], runner: Runner, name: str) -> None:
    try:
        runner.run(name, lambda line: None)
    except (StageFailed, StageStopped) as error:
        ended.append(error)


def named(process: psutil.Process) -> str:
    """The name of a process; nothing if it has ended."""
    try:
        return process.name()
    except psutil.Error:
        return ""


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("split tickets: WARNING: dev of 9 rows measures little", logging.WARNING),
        ("WARNING: teacher rte 42: no better than the majority", logging.WARNING),
        ("split tickets: train 36, quiz 5 rows; 360 unknown tokens", logging.INFO),
    ],
)
def test_a_warning_of_a_stage_is_one_in_prefects_log(line: str, level: int) -> None:
    assert level_of(line) == level
