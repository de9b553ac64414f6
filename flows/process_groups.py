"""Termination of process groups with all descendants, SIGTERM before SIGKILL."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Sequence

import psutil

Grace = tuple[signal.Signals, float]
# DVC cleans up after an interrupt and not after the others. (signal, seconds to wait for it)
SIGNALS = ((signal.SIGINT, 5.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))
PAUSE = 0.05


def end_groups(
    groups: Collection[int], signals: Sequence[Grace] = SIGNALS, collect: Callable[[], object] | None = None
) -> None:
    """Terminate these process groups and their descendants in other groups; return when all are gone.

    Args:
        groups: their numbers.
        signals: sent one after another, each with the seconds to wait for it.
        collect: takes the status of children of this process that ended, without which their groups stay.
    """
    family: set[psutil.Process] = set()
    for number, grace in signals:
        for group in groups:
            family |= _descendants(group)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for member in family if number != signal.SIGINT else ():  # a launcher passes an interrupt on to its own
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(member.pid) not in groups:
                    member.send_signal(number)
        if _all_gone(groups, family, grace, collect):
            return


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def _all_gone(
    groups: Collection[int], family: set[psutil.Process], grace: float, collect: Callable[[], object] | None
) -> bool:
    """Return whether all processes of the groups and of the family end within `grace` seconds."""
    end = time.monotonic() + grace
    while True:
        if collect:
            collect()
        if not any(map(_group_lives, groups)) and not any(map(_lives, family)):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)


def _group_lives(group: int) -> bool:
    with contextlib.suppress(PermissionError):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
