"""A run that was broken off goes on from its checkpoint, and ends with the bits of one that was not."""

import json
import os
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch
from tests.golden.golden_runs import NAMES, Run, Stopped, run_whole
from tests.planted import SETTINGS, Planted, Shuffled, plant, run
from training import interrupts
from training.curriculum.multi_task import train_multi_task
from training.curriculum.types import (
    Additions,
    CurriculumResult,
    CurriculumSettings,
    HeadWarming,
    QuizDataset,
    TargetTraining,
)
from training.resume import Cadence, Checkpoints
from training.resume_files import CheckpointFiles, State

IDENTITY = {"parameters": "1"}
SHORT = replace(SETTINGS, episodes=3, max_steps_per_episode=4, seed=3)
VARIANTS = {
    "paper": SHORT,
    "an update an episode": replace(SHORT, update="episode"),
    "real": replace(SHORT, reward="real"),
    "gain": replace(SHORT, reward="gain"),
    "gain over three steps": replace(SHORT, reward="gain", gain_steps=3),
    "patience": replace(SHORT, reward="gain", episodes=9, patience=1),
    "alignment": replace(SHORT, reward="alignment"),
    "uniform": replace(SHORT, sampler="uniform"),
    "target": replace(SHORT, sampler="target"),
}


def checkpoints(folder: Path, *, steps: int | None = 1, said: list[str] | None = None) -> Checkpoints:
    say = (lambda line: None) if said is None else said.append
    return Checkpoints(CheckpointFiles(folder, IDENTITY, say), Cadence(None, steps))


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("name", NAMES)
def test_a_training_goes_on_where_it_was_broken_off(name: str, tmp_path: Path) -> None:
    whole = run_whole(name)
    for steps in (2, 1, 4):  # within an epoch; as the next one begins; and once more on the way
        with pytest.raises(Stopped):
            run_whole(name, Run(stop_after=steps), checkpoints(tmp_path))
    torch.rand(5)  # the generators stand elsewhere, as in another process
    rest = run_whole(name, checkpoints=checkpoints(tmp_path))
    assert rest.losses == whole.losses[7:]
    assert rest.curves == whole.curves
    assert_same(rest.weights, whole.weights)


class Broken(Exception):
    """A curriculum that was to end in its midst."""


def curriculum(
    settings: CurriculumSettings, kept: Checkpoints, stop: int | None = None
) -> tuple[Planted, CurriculumResult]:
    planted = breaking(plant(0, passes=1), stop)
    return planted, run(planted, settings, checkpoints=kept)


def breaking(planted: Planted, stop: int | None, also: Sequence[QuizDataset] = ()) -> Planted:
    """The same; the student breaks off as it asks for its batch number `stop`, from 0."""
    torch.manual_seed(5)
    steps = iter(range(10**6))

    def counted(next_batch: Callable[[], Batch]) -> Callable[[], Batch]:
        def step() -> Batch:
            if next(steps) == stop:
                raise Broken
            return next_batch()

        return step

    for dataset in (*planted.datasets, *also):
        dataset.batches.next_batch = counted(dataset.batches.next_batch)  # ty: ignore[invalid-assignment]
    return planted


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_curriculum_goes_on_where_it_was_broken_off(variant: str, tmp_path: Path) -> None:
    settings = VARIANTS[variant]
    whole, expected = curriculum(settings, Checkpoints())
    for stop in (2, 4):  # within an episode, and as the next one begins
        with pytest.raises(Broken):
            curriculum(settings, checkpoints(tmp_path), stop)
    planted, found = curriculum(settings, checkpoints(tmp_path))
    assert found == expected
    assert_same(dict(planted.student.state_dict()), dict(whole.student.state_dict()))


def with_options(kept: Checkpoints, stop: int | None = None) -> tuple[Planted, CurriculumResult]:
    """A curriculum with warmed heads and steps on the target between actions, each with batches of its own."""
    planted = plant(0, passes=1)

    def batches(dataset: QuizDataset, seed: int) -> QuizDataset:
        rows = cast(Shuffled, dataset.batches).rows
        return replace(dataset, batches=Shuffled(rows, torch.Generator().manual_seed(seed)))

    warming = HeadWarming([batches(one, 1) for one in planted.datasets[1:]], steps=5, learning_rate=1e-2)
    target = TargetTraining(batches(planted.datasets[0], 2), 2, None)
    breaking(planted, stop, also=[target.dataset])
    settings = replace(SHORT, reward="gain", gain_steps=2)
    return planted, run(planted, settings, additions=Additions(target, warming), checkpoints=kept)


def test_warmed_heads_and_steps_on_the_target_go_on_where_they_were_broken_off(tmp_path: Path) -> None:
    whole, expected = with_options(Checkpoints())
    # Batches of an episode: two of an action, two of the target, and so on: within the target's; within an action's; and
    # before the first resume state, so that the heads are warmed once more.
    for stop in (0, 3, 6):
        with pytest.raises(Broken):
            with_options(checkpoints(tmp_path), stop)
    planted, found = with_options(checkpoints(tmp_path))
    assert found == expected
    assert_same(dict(planted.student.state_dict()), dict(whole.student.state_dict()))


def multi_task(
    settings: CurriculumSettings, kept: Checkpoints, stop: int | None = None
) -> tuple[Planted, CurriculumResult]:
    planted = breaking(plant(0, passes=1), stop)
    return planted, train_multi_task(
        planted.student,
        planted.datasets,
        planted.target.one_pass,
        planted.selection_scores,
        settings=settings,
        accelerator=Accelerator(cpu=True),
        checkpoints=kept,
    )


@pytest.mark.parametrize("update", ["step", "episode"])
def test_multi_task_training_goes_on_where_it_was_broken_off(
    update: Literal["step", "episode"], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, episodes=3, update=update)
    whole, expected = multi_task(settings, Checkpoints())
    for stop in (2, 10):  # within an episode of 8 steps, and within the next
        with pytest.raises(Broken):
            multi_task(settings, checkpoints(tmp_path), stop)
    planted, found = multi_task(settings, checkpoints(tmp_path))
    assert found == expected
    assert_same(dict(planted.student.state_dict()), dict(whole.student.state_dict()))


class Counter:
    """A run whose state is one number."""

    def __init__(self) -> None:
        self.steps = 0

    def state_dict(self) -> State:
        return {"steps": self.steps}

    def load_state_dict(self, state: State) -> None:
        self.steps = int(str(state["steps"]))


def count(kept: Checkpoints, until: int) -> Counter:
    counter = Counter()
    with kept.watching(counter) as after_step:
        while counter.steps < until:
            counter.steps += 1
            after_step()
    return counter


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_are_kept_and_all_are_removed_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kept = checkpoints(folder, steps=2)
    count(kept, 9)
    assert names(folder) == ["step-00000006", "step-00000008"]
    kept.remove()
    assert not folder.exists()


def test_a_checkpoint_is_due_by_time(tmp_path: Path) -> None:
    kept = Checkpoints(CheckpointFiles(tmp_path, IDENTITY, print), Cadence(seconds=0.0, steps=None))
    count(kept, 1)
    assert names(tmp_path) == ["step-00000001"]
    often = Checkpoints(CheckpointFiles(tmp_path / "later", IDENTITY, print), Cadence(seconds=3600.0, steps=None))
    count(often, 5)
    assert not (tmp_path / "later").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def of_another_run(path: Path) -> None:
    file = path.with_name("checkpoint.json")
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "identity": {"parameters": "2"}}))


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink, of_another_run])
def test_a_damaged_checkpoint_is_named_and_the_older_one_is_used(
    damage: Callable[[Path], object], tmp_path: Path
) -> None:
    count(checkpoints(tmp_path), 5)
    damage(tmp_path / "step-00000005" / "state.pt")
    said: list[str] = []
    assert CheckpointFiles(tmp_path, IDENTITY, said.append).newest() is not None
    assert len(said) == 1 and "step-00000005 is damaged" in said[0]
    assert names(tmp_path) == ["step-00000004"]


def test_a_run_whose_checkpoints_are_all_damaged_starts_at_its_beginning(tmp_path: Path) -> None:
    count(checkpoints(tmp_path), 5)
    for path in tmp_path.glob("*/state.pt"):
        cut(path)
    said: list[str] = []
    assert count(checkpoints(tmp_path, said=said), 3).steps == 3
    assert len(said) == 2


def test_what_a_process_left_that_was_killed_while_writing_is_never_read(tmp_path: Path) -> None:
    count(checkpoints(tmp_path), 2)
    left = tmp_path / ".partial-1"
    left.mkdir()
    (left / "state.pt").write_bytes(b"half")
    assert count(checkpoints(tmp_path), 3).steps == 3
    assert not left.exists()


class Planting:
    """Pickles to code that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path / "run", IDENTITY, print)
    files.write(1, {"run": Planting(tmp_path / "planted")})
    with pytest.raises(Exception, match="Weights only load failed"):
        files.newest()
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint(number: int, tmp_path: Path) -> None:
    counter = Counter()

    def terminated() -> None:
        with interrupts.handled(), checkpoints(tmp_path, steps=None).watching(counter) as after_step:
            counter.steps += 1
            after_step()
            os.kill(os.getpid(), number)
            counter.steps += 1  # the step is taken to its end
            after_step()

    with pytest.raises(interrupts.Terminated) as ended:
        terminated()
    assert ended.value.number == number
    assert count(checkpoints(tmp_path), 2).steps == 2
    assert names(tmp_path) == ["step-00000002"]


def test_a_signal_outside_of_training_ends_at_once() -> None:
    with interrupts.handled(), pytest.raises(interrupts.Terminated):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.handled():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("room", [0, 5_000, 399_000])
def test_wherever_in_a_checkpoint_the_disk_fills_it_is_what_the_disk_said(room: int, tmp_path: Path) -> None:
    """A run goes on after an OSError; torch's writer, cut off in its midst, raises a RuntimeError."""
    files = CheckpointFiles(tmp_path / "run", IDENTITY, print)
    files.write(1, {"weights": torch.zeros(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write(2, {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path / "run") == ["step-00000001"]


def test_a_disk_without_room_costs_the_checkpoint_and_not_the_run(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "run").write_text("a file where the folder should be")
    assert count(checkpoints(tmp_path / "run", said=said), 2).steps == 2
    assert len(said) == 1 and "no checkpoint was written" in said[0]
