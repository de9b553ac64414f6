"""Resumable training loops: state is stored by time and by step, and restored at the start.

A loop holds all that changes in one object with `state_dict` and `load_state_dict` (networks, optimisers, schedules,
position, curves) and calls what `Checkpoints.watching` gives it after each step. The state of the random generators of
python, numpy and torch is kept beside it. A run that was killed ends with exactly the weights of one that was not.
"""

import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from training import interrupts
from training.resume_files import CheckpointFiles, State

LONGEST_SHARE = 20
"""Minimum interval between checkpoints by time, as a multiple of the time to write one."""
GO_ON, KEEP, END = 0, 1, 2


class Saved(Protocol):
    """An object whose state a resume state holds."""

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> object: ...


class Resumable:
    """An object whose state consists of some of its attributes, by name."""

    PARTS: ClassVar[tuple[str, ...]] = ()
    """Stateful attributes: an object, a random generator, a list of them, or None."""
    VALUES: ClassVar[tuple[str, ...]] = ()
    """Attributes stored by value: numbers, records, tensors."""

    def state_dict(self) -> State:
        """The content of a resume state, see `Checkpoints`."""
        parts = {name: _state_of(getattr(self, name)) for name in self.PARTS}
        return {**parts, **{name: getattr(self, name) for name in self.VALUES}}

    def load_state_dict(self, state: State) -> None:
        for name in self.PARTS:
            _put_back(getattr(self, name), state[name])
        for name in self.VALUES:
            setattr(self, name, state[name])


def _state_of(part: object) -> object:
    if isinstance(part, list):
        return [_state_of(one) for one in part]
    if isinstance(part, torch.Generator):
        return part.get_state()
    return None if part is None else cast(Saved, part).state_dict()


def _put_back(part: object, state: Any) -> None:  # of the type that the part has given
    if isinstance(part, list):
        for one, own in zip(part, state, strict=True):
            _put_back(one, own)
    elif isinstance(part, torch.Generator):
        part.set_state(state)
    elif part is not None:
        cast(Saved, part).load_state_dict(state)


@dataclass(frozen=True)
class Cadence:
    """Conditions for a checkpoint: a number of seconds, a number of steps; None: never for that reason."""

    seconds: float | None = 300.0
    steps: int | None = None


class Checkpoints:
    """The checkpoints of one training run. Without `files` there are none, and every run starts over.

    `keeps_end`: keep the state that a run ends with, too, so that the same run ends at once when it is asked for again.
    """

    def __init__(
        self,
        files: CheckpointFiles | None = None,
        cadence: Cadence | None = None,
        accelerator: Accelerator | None = None,
        *,
        keeps_end: bool = False,
    ) -> None:
        self._keeps_end = keeps_end
        self._files, self._cadence, self._accelerator = files, cadence or Cadence(), accelerator
        self._processes = 1 if accelerator is None else accelerator.num_processes
        self._steps, self._restored_at = 0, -1
        self._kept_at, self._cost = time.monotonic(), 0.0
        self._refused = False

    @contextmanager
    def watching(self, run: Saved) -> Generator[Callable[[], None]]:
        """Restore the newest state into `run`; yield the function to call after each complete step.

        On SIGTERM or SIGINT the state is kept, and `Terminated` goes on.
        """
        if self._files is None:
            yield lambda: None
            return
        interrupts.check()
        self._restore(run, self._files)
        # Scoring polls for a signal too; but of several processes none may leave where the others wait for it.
        with interrupts.deferred(polled=self._processes == 1):
            try:
                yield lambda: self._after_step(run)
                if self._keeps_end and self._steps != self._restored_at:
                    self._keep(run)
            except interrupts.Terminated:
                self._keep(run)
                raise

    def remove(self) -> None:
        """Delete the checkpoints of a finished run."""
        if self._files is not None and self._is_first:
            self._files.remove()

    @property
    def _is_first(self) -> bool:
        return self._accelerator is None or self._accelerator.is_main_process

    def _after_step(self, run: Saved) -> None:
        self._steps += 1
        found = self._agreed(self._wanted())
        if found == END:
            raise interrupts.Terminated(interrupts.received() or interrupts.SIGNALS[0])
        if found == KEEP:
            self._keep(run)

    def _wanted(self) -> int:
        if interrupts.received() is not None:
            return END
        steps, seconds = self._cadence.steps, self._cadence.seconds
        if steps is not None and self._steps % steps == 0:
            return KEEP
        if seconds is None or not self._is_first:
            return GO_ON
        waited = time.monotonic() - self._kept_at
        return KEEP if waited >= max(seconds, LONGEST_SHARE * self._cost) else GO_ON

    def _agreed(self, wanted: int) -> int:
        """Agree among all processes: the maximum of their values."""
        if self._accelerator is None or self._processes == 1:
            return wanted
        mine = torch.tensor([wanted], device=self._accelerator.device)
        return int(self._accelerator.gather(mine).max())

    def _keep(self, run: Saved) -> None:
        """Write a checkpoint; a full disk costs the checkpoint, not the run, and is reported once."""
        started = time.monotonic()
        randoms = [random_state(self._device)]
        if self._processes > 1:
            randoms = gather_object(randoms)
        state: State = {"run": run.state_dict(), "random": randoms}  # all processes: its parts may be with any of them
        if self._is_first and self._files is not None:
            try:
                self._files.write(self._steps, state)
                self._refused = False
            except OSError as error:
                if not self._refused:
                    self._files.say(f"WARNING: no checkpoint was written ({error.strerror}); training goes on without")
                self._refused = True
        self._kept_at, self._cost = time.monotonic(), time.monotonic() - started

    def _restore(self, run: Saved, files: CheckpointFiles) -> None:
        self._kept_at = time.monotonic()
        found = files.newest() if self._is_first or self._processes == 1 else None
        if self._processes > 1:
            found = self._same_everywhere(found, files)
        if found is None:
            return
        self._steps, state = found
        self._restored_at = self._steps
        run.load_state_dict(state["run"])
        rank = 0 if self._accelerator is None else self._accelerator.process_index
        set_random_state(state["random"][rank], self._device)
        files.say(f"goes on from its checkpoint, after {self._steps} steps")

    def _same_everywhere(self, found: tuple[int, State] | None, files: CheckpointFiles) -> tuple[int, State] | None:
        """Find the newest state in the main process, deleting damaged ones; all processes read it, or start over."""
        assert self._accelerator is not None
        self._accelerator.wait_for_everyone()
        if not self._accelerator.is_main_process:
            found = files.newest()
        mine = -1 if found is None else found[0]
        steps = self._accelerator.gather(torch.tensor([mine], device=self._accelerator.device))
        if len(set(steps.tolist())) > 1:
            files.say(
                "WARNING: not every process sees the checkpoint; outputs/ must be on one file system. Starts afresh"
            )
            return None
        return found

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self._accelerator is None else self._accelerator.device


def random_state(device: torch.device) -> State:
    """The states of the random generators of python, numpy, torch and the device."""
    numbers = np.random.get_state(legacy=True)
    assert isinstance(numbers, tuple)
    return {
        "python": random.getstate(),
        "numpy": [numbers[0], torch.from_numpy(numbers[1].astype(np.int64)), *numbers[2:]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: State, device: torch.device) -> None:
    """Restore the generators' states from `random_state`."""
    name, key, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
