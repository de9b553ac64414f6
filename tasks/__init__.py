"""One file per stage of the pipeline: `python -m tasks.STAGE --dataset ... [--method ...] [--seed ...]`."""

import environment

environment.begin(launched=True)  # before torch and accelerate are imported, which read it

from tasks.running import collector  # noqa: E402

collector.gc_relaxed()  # here, because nothing of a stage is imported before its package
