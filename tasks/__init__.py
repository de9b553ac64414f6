"""One file per stage of the pipeline: `python -m tasks.STAGE --dataset ... [--method ...] [--seed ...]`."""

from tasks.running import collector

collector.seldom()  # here, because nothing of a stage is imported before its package
