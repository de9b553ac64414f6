"""Default number of threads for scoring."""

import os
from pathlib import Path

MOST = 8
"""Maximum default: a small model scores quickly, and a large machine's other cores stay free."""


def default_threads() -> int:
    """OMP_NUM_THREADS if set; else all cores available to the process, 8 at most."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else min(usable_cores(), MOST)


def usable_cores() -> int:
    """Cores available to this process: by its affinity, and by a container's quota (cgroup 2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup 2, or "max": no quota
        return cores
