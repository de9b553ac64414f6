"""Return the default number of threads for scoring."""

import os
from pathlib import Path

MOST = 8
"""Threads by default, at most: a small model is scored quickly, and the rest of a large machine is left to others."""


def default_threads() -> int:
    """OMP_NUM_THREADS where it is set, as for any program; else all cores that the process may use, 8 at most."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else min(usable_cores(), MOST)


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by the quota of a container (cgroup 2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup 2, or "max": no quota
        return cores
