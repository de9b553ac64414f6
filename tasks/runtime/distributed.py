"""The processes that a launcher started for one stage: which one this is, who reports an error, how they end together.

A launcher says so in the environment (WORLD_SIZE, RANK). Torch is imported only where there are several: stages that need
no network start without it.
"""

import os
import re
import sys
from types import TracebackType


def _number(name: str, default: int) -> int:
    """A number that a launcher says; what is none is refused later, by environment.check_launcher()."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


PROCESSES = _number("WORLD_SIZE", 1)
NUMBER = _number("RANK", 0) if PROCESSES > 1 else 0
FIRST = NUMBER == 0
"""True if this process writes, and speaks for all."""
FAILED = "distilflow/failed"
SECONDS_TO_ASK = 5
# What gloo and NCCL say of a connection whose other end is gone, or has long been silent.
LOST = re.compile(r"Connection (?:closed|reset) by peer|Broken pipe|ncclRemoteError|Timed out waiting")


def first_to_fail() -> bool:
    """Return whether no other process of this stage has failed before: one line is enough, later ones are its echo.

    Asks the launcher's store; where it is gone, the first process speaks.
    """
    if PROCESSES == 1:
        return True
    from datetime import timedelta

    from torch.distributed import TCPStore

    place, port = os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "0"))
    try:
        store = TCPStore(place, port, None, False, timeout=timedelta(seconds=SECONDS_TO_ASK), wait_for_workers=False)
        return store.add(FAILED, 1) == 1
    except RuntimeError:  # of torch.distributed: nobody answers
        return FIRST


def peer_died(error: BaseException) -> str | None:
    """That another process of this stage is gone, in words; None for any other error."""
    found = LOST.search(str(error)) if PROCESSES > 1 else None
    if found is None:
        return None
    return (
        f"another of its {PROCESSES} processes is gone ({found[0]}): somebody killed it, or Linux did for want of memory; "
        "the next run goes on where a checkpoint was kept"
    )


def report_once() -> None:
    """Of several processes only the first that fails shows a traceback: the others lost a partner, which is no news.

    To be called when the processes have met: torch puts its own hook there.
    """
    if PROCESSES > 1:
        sys.excepthook = _report


def barrier_and_destroy() -> None:
    """Wait until every process is done, and leave the group; a process that just ends may abort at its exit."""
    if PROCESSES == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if first_to_fail():
        sys.__excepthook__(kind, error, trace)
