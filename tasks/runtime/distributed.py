"""The processes of a launcher: rank, error reporting, joint exit.

A launcher says so in the environment (WORLD_SIZE, RANK). Torch is imported only where there are several: stages that need
no network start without it.
"""

import os
import re
import sys
from types import TracebackType


def _number(name: str, default: int) -> int:
    """A number from a launcher's variable; an invalid one is refused later, by environment.check_launcher()."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


PROCESSES = _number("WORLD_SIZE", 1)
NUMBER = _number("RANK", 0) if PROCESSES > 1 else 0
FIRST = NUMBER == 0
"""True in the main process, which writes and prints."""
FAILED = "distilflow/failed"
SECONDS_TO_ASK = 5
# What gloo and NCCL say of a connection whose other end is gone, or has long been silent.
LOST = re.compile(r"Connection (?:closed|reset) by peer|Broken pipe|ncclRemoteError|Timed out waiting")


def first_to_fail() -> bool:
    """Return whether this is the first process of the stage to fail: later failures are consequences.

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
    """Describe an error caused by the end of another process of this stage; None for any other error."""
    found = LOST.search(str(error)) if PROCESSES > 1 else None
    if found is None:
        return None
    return (
        f"another of its {PROCESSES} processes is gone ({found[0]}): somebody killed it, or Linux did for want of memory; "
        "the next run goes on where a checkpoint was kept"
    )


def report_once() -> None:
    """Show only the first failing process's traceback: the others fail as a consequence.

    To be called when the processes have met: torch puts its own hook there.
    """
    if PROCESSES > 1:
        sys.excepthook = _report


def barrier_and_destroy() -> None:
    """Wait for every process, then leave the group: a process that exits at once may abort."""
    if PROCESSES == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if first_to_fail():
        sys.__excepthook__(kind, error, trace)
