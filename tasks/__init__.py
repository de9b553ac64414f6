"""One file per stage of the pipeline: `python -m tasks.STAGE --dataset ... [--method ...] [--seed ...]`."""

import environment

environment.begin(launched=True)  # before torch and accelerate are imported, which read it

from tasks.runtime import gc_during_import  # noqa: E402

gc_during_import.gc_relaxed()  # here, because nothing of a stage is imported before its package
