"""Handling of SIGTERM and SIGINT in a stage: at once if nothing would be lost, else after the current step.

A training loop that can go on from a checkpoint says so with `deferred`: a signal then waits for the next `check`, which
stands where the loop's state is whole. Everywhere else `Terminated` is raised where the program is, and what is
half-written is removed on its way out.
"""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Terminated(BaseException):
    """Termination by a signal; not an Exception, so that no error handler catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _State:
    depth: int = 0
    polled: bool = False
    received: int | None = None


_state = _State()


@contextmanager
def handled() -> Generator[None]:
    """Handle both signals within the block; restore the previous handlers afterwards."""
    _state.depth, _state.polled, _state.received = 0, False, None
    try:
        with _taken_by(_handle):
            yield
    finally:
        _state.depth, _state.polled, _state.received = 0, False, None


@contextmanager
def ignored() -> Generator[None]:
    """Ignore further signals during the final message: a launcher sends more than one."""
    with _taken_by(signal.SIG_IGN):
        yield


@contextmanager
def deferred(*, polled: bool = True) -> Generator[None]:
    """Defer signals to the next `check`, or, not `polled`, until the loop asks for `received`."""
    before = _state.polled
    _state.depth, _state.polled = _state.depth + 1, polled
    try:
        yield
    finally:
        _state.depth, _state.polled = _state.depth - 1, before


def received() -> int | None:
    """The pending signal, if any."""
    return _state.received


def check() -> None:
    """Raise Terminated if a signal is pending, unless the loop polls for it."""
    if _state.received is not None and (_state.polled or _state.depth == 0):
        raise Terminated(_state.received)


def _handle(number: int, _frame: FrameType | None) -> None:
    # Noted in any case: code that swallows every exception (a bare `except` around an import) must not swallow this.
    _state.received = number
    if _state.depth == 0:
        raise Terminated(number)


@contextmanager
def _taken_by(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Generator[None]:
    """Install a handler of both signals within the block; does nothing outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
