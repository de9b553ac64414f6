"""Ends the stages of a flow whose own process was killed: `python -m flows.guard`, started by the runner of the stages.

It reads the process groups that are running, "+PID" and "-PID", one a line. When the list ends, so did the flow, and what
is left of the groups is ended, too: a killed flow must not train on.
"""

import sys
from collections.abc import Iterable

from flows.processes import end_groups


def left_over(lines: Iterable[str]) -> set[int]:
    """The process groups that began and did not end."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


if __name__ == "__main__":
    end_groups(left_over(sys.stdin))
