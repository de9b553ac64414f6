"""Signals handled in another way for as long as a block runs."""

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
    """Handle these signals by `handler`, and by what was there before once the block ends. In the main thread only."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def as_ctrl_c() -> Generator[None]:
    """Let SIGTERM and a closed terminal end a command as Ctrl-C does, also where a script started it with `&`."""
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()  # nohup
    with handled(set(ENDING) - ignored, signal.default_int_handler):
        yield


@contextlib.contextmanager
def as_event() -> Generator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set."""
    stop = threading.Event()
    with handled(ENDING, lambda *_: stop.set()):
        yield stop


@contextlib.contextmanager
def sigterm_as_exit() -> Generator[None]:
    """Let SIGTERM end the process by an exception, so that what was made is removed.

    Only the main thread can, and whoever handles SIGTERM already goes on doing so.
    """
    own = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with handled([signal.SIGTERM] if own else [], _exit):
        yield


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
