"""Handling of closed output: `python -m tasks.STAGE | head`, a terminal that was closed."""

import contextlib
import os
import sys
from collections.abc import Generator


@contextlib.contextmanager
def without_readers() -> Generator[None]:
    """Within the block, discard output to a closed stdout or stderr, including Python's final flush.

    Without the latter a process that has done its work would end with status 120. A command has it as a decorator.
    """
    with contextlib.suppress(BrokenPipeError):
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except BrokenPipeError:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
