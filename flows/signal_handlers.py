"""Temporary signal handlers."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, a closed terminal."""


@contextlib.contextmanager
def handled(signals: Iterable[signal.Signals], handler: Handler) -> Generator[None]:
    """Install a handler for these signals within the block. In the main thread only."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def as_ctrl_c() -> Generator[None]:
    """Make SIGTERM and a closed terminal end a command like Ctrl-C, also if a script started it with `&`."""
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()  # nohup
    with handled(set(ENDING) - ignored, signal.default_int_handler):
        yield


@contextlib.contextmanager
def as_event() -> Generator[threading.Event]:
    """An event set by Ctrl-C, SIGTERM and a closed terminal."""
    stop = threading.Event()
    with handled(ENDING, lambda *_: stop.set()):
        yield stop


@contextlib.contextmanager
def sigterm_as_exit() -> Generator[None]:
    """Turn SIGTERM into an exception, so that cleanup runs.

    Only the main thread can, and whoever handles SIGTERM already goes on doing so.
    """
    own = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with handled([signal.SIGTERM] if own else [], _exit):
        yield


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
