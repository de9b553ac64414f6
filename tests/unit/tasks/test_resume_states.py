"""A stage that was ended goes on where it stood; a checkpoint of anything else is set aside."""

import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from stages import ROOT, Ended, run_stage_here, write_params

import training.predict
import training.supervised
from tests.chaos.comparison import differences

pytestmark = pytest.mark.xdist_group("stage checkpoints")
ONE = ("--dataset", "standing", "--seed", "1")
SIZES = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 16}
AFRESH, GOES_ON = "starts afresh: the checkpoint", "goes on from its checkpoint, after"


def params(folder: Path, **changes: object) -> None:
    """The smallest teacher; a checkpoint only where a test asks for one."""
    values: dict[str, object] = {
        "datasets": ["standing"],
        "source": {"folder": "catalog"},
        "split": {"selection_minimum": 16},
        "teacher": {"epochs": 2, "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 2}},
        "checkpoint": {"minutes": 60, "steps": None},
    }
    write_params(folder, **(values | changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a split dataset, and a teacher that nobody interrupted."""
    folder = tmp_path_factory.mktemp("a folder")
    own = folder / "catalog/standing"
    own.mkdir(parents=True)
    content = yaml.safe_load((ROOT / "data/catalog/quickstart/standing/dataset.yaml").read_text(encoding="utf-8"))
    content["generate"] |= {"train_rows": 160, "dev_rows": 16}
    (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params(folder)
    for stage in ("source", "split"):
        assert run_stage_here(folder, stage, "--dataset", "standing").status == 0
    assert run_stage_here(folder, "teacher", *ONE).status == 0
    (folder / "outputs/teacher").rename(folder / "undisturbed")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "copy")


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGTERM) -> Ended:
    """The teacher stage, to which a signal is sent in its fifth step."""
    return in_the_fifth_step(folder, monkeypatch, lambda: os.kill(os.getpid(), number))


def in_the_fifth_step(folder: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> Ended:
    """The teacher stage, with something that happens in its midst."""
    with monkeypatch.context() as patched:
        patched.setattr(training.supervised, "collate", in_call(5, training.supervised.collate, happens))
        return run_stage_here(folder, "teacher", *ONE)


def in_call(number: int, collate: Callable[..., object], happens: Callable[[], object]) -> Callable[..., object]:
    """A maker of batches, with something that happens while it makes one of them."""
    calls = iter(range(1, 1000))

    def hit(*arguments: object) -> object:
        if next(calls) == number:
            happens()
        return collate(*arguments)

    return hit


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "outputs/checkpoints").glob("*/*/step-*"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int) -> None:
    ended = interrupted(folder, monkeypatch, number)
    assert ended.status == status
    assert len(ended.errors.strip().splitlines()) == 1 and "stopped; the next run goes on" in ended.errors
    assert not (folder / "outputs/teacher").exists() and not list((folder / "outputs/.partial").glob("*"))
    assert kept(folder) == ["step-00000005"]
    ended = run_stage_here(folder, "teacher", *ONE)
    assert ended.status == 0 and f"{GOES_ON} 5 steps" in ended.errors
    assert differences(folder / "undisturbed", folder / "outputs/teacher") == []
    assert kept(folder) == [] and not list((folder / "outputs/checkpoints").glob("*/*"))


@pytest.mark.parametrize("batch", [5, 10])
def test_signals_go_on_in_the_batch_that_was_the_next(
    folder: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 batches of train, and one or two of each other split; 10 is past train."""
    shutil.copytree(folder / "undisturbed", folder / "outputs/teacher")
    params(folder, signals={"batch_size": 16})
    assert run_stage_here(folder, "signals", *ONE).status == 0
    (folder / "outputs/signals").rename(folder / "whole")
    with monkeypatch.context() as patched:
        sending = in_call(batch, training.predict.collate, lambda: os.kill(os.getpid(), signal.SIGTERM))
        patched.setattr(training.predict, "collate", sending)
        assert run_stage_here(folder, "signals", *ONE).status == 143
    assert kept(folder) == [f"step-{batch:08d}"]
    ended = run_stage_here(folder, "signals", *ONE)
    assert ended.status == 0 and f"{GOES_ON} {batch} steps" in ended.errors
    assert differences(folder / "whole", folder / "outputs/signals") == []
    assert kept(folder) == []


@pytest.mark.parametrize("other", [{"threads": 2}, {"selected_by": "metric"}])
def test_a_checkpoint_of_other_parameters_is_set_aside_and_serves_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, object]
) -> None:
    interrupted(folder, monkeypatch)
    params(folder, **other)
    ended = run_stage_here(folder, "teacher", *ONE)
    assert AFRESH in ended.errors and "is of other parameters; set aside" in ended.errors
    assert kept(folder) == ["step-00000005"]
    params(folder)
    assert f"{GOES_ON} 5 steps" in run_stage_here(folder, "teacher", *ONE).errors
    assert differences(folder / "undisturbed", folder / "outputs/teacher") == []


def test_a_checkpoint_of_other_data_is_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(folder, monkeypatch)
    (folder / "outputs/split/standing/tokens/.another").write_text("a hidden file changes the sum, and is not refused")
    ended = run_stage_here(folder, "teacher", *ONE)
    assert "is of other data; set aside" in ended.errors and GOES_ON not in ended.errors


def test_a_checkpoint_of_other_code_is_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(folder, monkeypatch)
    monkeypatch.setattr("tasks.runtime.resume_states._loaded_code", lambda: {"training/supervised.py": "another"})
    ended = run_stage_here(folder, "teacher", *ONE)
    assert "is of other code; set aside" in ended.errors and GOES_ON not in ended.errors


def test_the_checkpoints_of_a_process_that_lives_are_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(folder, monkeypatch)
    (run,) = (folder / "outputs/checkpoints/teacher-standing-1").iterdir()
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = run_stage_here(folder, "teacher", *ONE)
    assert ended.status == 0 and "another process trains the same now" in ended.errors
    assert differences(folder / "undisturbed", folder / "outputs/teacher") == []
    assert kept(folder) == ["step-00000005"] and list(run.parent.iterdir()) == [run]


def test_no_checkpoints_are_kept_where_none_are_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params(folder, checkpoint={"minutes": None, "steps": None})
    assert interrupted(folder, monkeypatch).status == 143
    assert not (folder / "outputs/checkpoints").exists()


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/teacher-standing-1", ".partial"])
def test_a_file_where_a_folder_has_to_be_is_one_line(folder: Path, place: str) -> None:
    shutil.rmtree(folder / "outputs/.partial", ignore_errors=True)
    path = folder / "outputs" / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    ended = run_stage_here(folder, "teacher", *ONE)
    assert (ended.status, len(ended.errors.strip().splitlines())) == (2, 1)
    assert f"outputs/{place} is a file, and has to be a folder; move it away" in ended.errors


def test_an_input_that_changes_while_the_stage_runs_leaves_no_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = folder / "outputs/split/standing/tokens"
    ended = in_the_fifth_step(folder, monkeypatch, lambda: (tokens / ".another").write_text("other bytes"))
    assert ended.status == 2
    assert "outputs/split/standing/tokens: changed while the stage ran; nothing of it was kept" in ended.errors
    assert not (folder / "outputs/teacher").exists()


def test_an_input_that_was_only_touched_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(path for path in (folder / "outputs/split/standing/tokens").rglob("*") if path.is_file())
    assert in_the_fifth_step(folder, monkeypatch, file.touch).status == 0
    assert differences(folder / "undisturbed", folder / "outputs/teacher") == []


def test_on_a_disk_without_locks_a_run_still_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    interrupted(folder, monkeypatch)
    assert f"{GOES_ON} 5 steps" in run_stage_here(folder, "teacher", *ONE).errors


def test_of_two_that_train_the_same_the_folder_of_the_second_goes_with_its_lock(folder: Path) -> None:
    """Its process may run in another container, where its number means another one, or none."""
    parent = folder / "outputs/checkpoints/teacher-standing-1"
    living, dead = (parent / f"0123456789ab-{number}" for number in (999_999_998, os.getpid()))
    for path in (living, dead):
        (path / "step-00000001").mkdir(parents=True)
    with (living / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_stage_here(folder, "teacher", *ONE).status == 0
    assert list(parent.iterdir()) == [living]
