"""Names of pools, queues and deployments: a worker serves stages of its own environment only."""

import hashlib
from pathlib import Path
from typing import Literal, get_args

Pool = Literal["cpu", "gpu"]
POOLS: tuple[Pool, ...] = get_args(Pool)
FLOW = "stage"
ENTRYPOINT = "flows.fleet.child.stage"
COMMAND = "python -m prefect.engine"
ROOT = "DISTILFLOW_WORKER_ROOT"
"""Variable of a child's environment: the worker's checkout."""
MACHINE = "DISTILFLOW_MACHINE"
"""Variable of a worker's environment: the name by which the machine is called in logs."""
RESULT = "DISTILFLOW_JOB_RESULT"
"""Variable of a job's environment: the file in which it writes how it ended."""
LOCK = Path("requirements", "requirements.lock")


def queue_of(pool: str, root: Path) -> str:
    """The work queue of a pool for the environment of a checkout: `cpu-1a2b3c4d`."""
    path = root / LOCK
    content = path.read_bytes() if path.is_file() else b""
    return f"{pool}-{hashlib.sha256(content).hexdigest()[:8]}"
