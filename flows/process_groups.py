"""Ending process groups with all that they started, gently first."""

import contextlib
import os
import signal
import time
from collections.abc import Collection

import psutil

# DVC cleans up after an interrupt and not after the others. (signal, seconds to wait for it)
SIGNALS = ((signal.SIGINT, 5.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0))
PAUSE = 0.05


def end_groups(groups: Collection[int]) -> None:
    """End these process groups and the processes that theirs started in groups of their own; return when all are gone."""
    family: set[psutil.Process] = set()
    for number, grace in SIGNALS:
        for group in groups:
            family |= _descendants(group)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        for member in family if number != signal.SIGINT else ():  # a launcher passes an interrupt on to its own
            with contextlib.suppress(psutil.Error):
                member.send_signal(number)
        if _all_gone(groups, family, grace):
            return


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def _all_gone(groups: Collection[int], family: set[psutil.Process], grace: float) -> bool:
    """Whether, within `grace` seconds, all processes of the groups and of the family have ended."""
    end = time.monotonic() + grace
    while any(map(_group_lives, groups)) or any(map(_lives, family)):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
