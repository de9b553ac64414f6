"""One file per stage of the pipeline: `python -m tasks.STAGE --dataset ... [--method ...] [--seed ...]`."""
