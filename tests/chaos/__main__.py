"""`make chaos`: stages, DVC and the registry killed at random, files damaged; every result must be the undisturbed one.

    python -m tests.chaos --kills 200 --seed 0

Ends with a line `N passed, M failed`; exit status 1 if M is not 0. A seed repeats the moments that were drawn, but not
how far a process had come by then.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch
import transformers  # noqa: F401  -- imported before the fork, so that each start is cheap

import tasks.assistant
import tasks.curriculum
import tasks.evaluate
import tasks.meta_student
import tasks.multi_task
import tasks.report
import tasks.student  # noqa: F401
from tests.chaos import pipelines, servers
from tests.chaos.kills import MOST_KILLS, Outcome, Undisturbed, damage_checkpoint, kill_until_done, run_all, terminate
from tests.chaos.targets import make_inputs, targets

LONG_FORM = 100
"""Kills from which on servers are killed, too, and the `dvc repro` that is killed makes a student."""
TRAINING = ("teacher", "student", "assistant", "assisted_student", "meta_student", "curriculum", "multi_task")


def main() -> int:
    """Run everything; 1 if something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Kill stages, and compare what they leave."
    )
    parser.add_argument("--kills", type=int, default=200, help="of stages, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="an empty folder to work in; default: one that is removed")
    parser.add_argument("--output", type=Path, default=Path("outputs/chaos.json"), help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    work = options.work or Path(tempfile.mkdtemp(prefix="chaos "))
    try:
        outcomes = list(_outcomes(work, options.kills, Random(options.seed)))
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([vars(one) for one in outcomes], indent=2) + "\n", encoding="utf-8")
    failed = [one for one in outcomes if not one.ok]
    kills, resumed = sum(one.kills for one in outcomes), sum(one.resumed for one in outcomes)
    print(f"{kills} kills, {resumed} starts that went on from a checkpoint; {options.output}")
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _outcomes(work: Path, kills: int, random: Random) -> Iterator[Outcome]:
    folder, kept = work / "a workspace", work / "kept"
    folder.mkdir(parents=True)
    make_inputs(folder)
    _tell(f"undisturbed runs in {folder}")
    undisturbed = run_all(targets(), folder, kept, _tell)
    yield from _kills(undisturbed, folder, random, kills)
    trained = [one for one in undisturbed if one.target.stage in TRAINING]
    for attack in (damage_checkpoint, terminate):
        for one in random.sample(trained, max(2, kills // 20)):
            yield _told(lambda attack=attack, one=one: attack(one, folder, random))
    pipeline = pipelines.prepare(work, short=kills < LONG_FORM)
    for check in pipelines.checks(pipeline, kills, random):
        yield _told(check)
    if kills >= LONG_FORM:
        for check in servers.checks(pipeline, random):
            yield _told(check)


def _kills(undisturbed: list[Undisturbed], folder: Path, random: Random, wanted: int) -> Iterator[Outcome]:
    """Every target in turn, in a random order, as often as it takes; what was killed least comes first."""
    done = 0
    while done < wanted:
        for one in random.sample(undisturbed, len(undisturbed)):
            if done >= wanted:
                return
            outcome = _told(lambda one=one: kill_until_done(one, folder, random, random.randint(1, MOST_KILLS)))
            done += outcome.kills
            yield outcome


def _told(attempt: Callable[[], Outcome]) -> Outcome:
    started = time.monotonic()
    try:
        outcome = attempt()
    except subprocess.TimeoutExpired as error:  # a failure like any: what was tried before it has to be told, too
        outcome = Outcome(shlex.join(error.cmd), False, said=f"not done after {error.timeout:.0f} s")
    state = "ok" if outcome.ok else f"FAILED: {outcome.said}"
    _tell(
        f"{outcome.name}: {outcome.kills} kills, {outcome.resumed} resumed, {time.monotonic() - started:.1f} s, {state}"
    )
    return outcome


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
