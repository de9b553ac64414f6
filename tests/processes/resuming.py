"""The job of each launched process: `python -m hardware cpu_2 resuming RUN=BLOW ...`, one after the other.

A blow falls in a run's seventh step of training: `sigkill-0` or `sigkill-1` ends that process at once, `sigterm` goes to
the launcher, `one-sigterm` to the second process alone. With `none` the run goes to its end, and what it left is moved to
ended/<run>-<number>, so that the next one makes it anew.
"""

import os
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch.distributed as dist
from resuming_plan import RUNS
from stages import run_stage_here

import methods.kd  # noqa: F401  -- as the loop in `main`
import training.supervised
from training.curriculum.learner import CurriculumLearner

STEP = 7
EXPECTED = {"none": 0, "one-sigterm": 128 + signal.SIGTERM, "sigterm": 128 + signal.SIGTERM}


def strike(blow: str, taken: int) -> None:
    """Hit whom the blow is for; the launcher passes its own on while more steps are taken."""
    rank = dist.get_rank()
    if blow == f"sigkill-{rank}":
        os.kill(os.getpid(), signal.SIGKILL)
    if taken == STEP and (blow, rank) == ("one-sigterm", 1):
        os.kill(os.getpid(), signal.SIGTERM)
    if taken == STEP and (blow, rank) == ("sigterm", 0):
        os.kill(os.getppid(), signal.SIGTERM)
    if blow == "sigterm":
        time.sleep(0.2)


def struck(step: Callable[..., object], blow: str) -> Callable[..., object]:
    """A step of training that is hit from the seventh time on that it is taken."""
    taken = 0

    def hit(*given: object, **named: object) -> object:
        nonlocal taken
        taken += 1
        if taken >= STEP:
            strike(blow, taken)
        return step(*given, **named)

    return hit


def run(name: str, blow: str) -> int:
    """One run of one stage; its exit status."""
    one = RUNS[name]
    with (
        patch.object(training.supervised, "collate", struck(training.supervised.collate, blow)),
        patch.object(CurriculumLearner, "backward", struck(CurriculumLearner.backward, blow)),
    ):
        ended = run_stage_here(Path.cwd(), one.stage, *one.options)
    print(ended.errors, end="", file=sys.stderr, flush=True)
    dist.barrier()
    if dist.get_rank() == 0 and ended.status == 0:
        kept = Path("ended")
        kept.mkdir(exist_ok=True)
        Path(one.output).rename(kept / f"{name}-{len(list(kept.glob(f'{name}-*')))}")
        if Path(f"{one.output}-of-one").exists():
            shutil.copytree(f"{one.output}-of-one", one.output)
    dist.barrier()
    return ended.status


def main(words: list[str]) -> int:
    """Every run in turn; the first status that a blow does not explain."""
    for one in RUNS.values():  # a checkpoint is of the modules that are loaded: the same, whichever run comes first
        runpy.run_module(f"tasks.{one.stage}", run_name="loaded")
    # One group for all runs: a real one leaves it at its end.
    with patch("torch.distributed.destroy_process_group"):
        for word in words:
            name, _, blow = word.partition("=")
            status = run(name, blow)
            if status != EXPECTED[blow] or blow == "sigterm":
                return status
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
