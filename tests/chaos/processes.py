"""Stages in processes that can be killed: forked from this one, which has torch imported, so that a start costs little."""

import json
import os
import runpy
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.targets import Target

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree")


@dataclass(frozen=True)
class Ended:
    """The end of a process: its exit status, negative for a signal; its output; seconds; writes below outputs/."""

    status: int
    said: str
    seconds: float
    writes: int


@dataclass(frozen=True)
class Attack:
    """The moment of a kill: so many seconds after the start, or at the n-th write below outputs/."""

    number: int = signal.SIGKILL
    after: float | None = None
    at_write: int | None = None


def draw(random: Random, undisturbed: Ended) -> Attack:
    """A random moment of a run like one that was not disturbed: by the clock, or in the midst of a write."""
    if random.random() < 0.5:
        return Attack(after=random.uniform(0.1, 1.0) * undisturbed.seconds)
    return Attack(at_write=random.randint(1, max(1, undisturbed.writes)))


def run(target: Target, folder: Path, attack: Attack | None = None) -> Ended:
    """Run a stage to its end, or to the attack."""
    log, counted = folder / "chaos.log", folder / "chaos.json"
    counted.unlink(missing_ok=True)
    started = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _child(target, folder, log, counted, attack)
    if attack is not None and attack.after is not None:
        _hit(child, attack.number, started + attack.after)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - started
    writes = json.loads(counted.read_text()) if counted.exists() else 0
    return Ended(os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8"), seconds, writes)


def _hit(child: int, number: int, moment: float) -> None:
    """Send the signal at that moment, if the child still runs then."""
    while time.monotonic() < moment:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.002)
    os.kill(child, number)


def _child(target: Target, folder: Path, log: Path, counted: Path, attack: Attack | None) -> None:
    """Run the forked process; it never comes back."""
    status = 1
    try:
        os.chdir(folder)
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        writes = _watch(attack)
        sys.argv = [f"tasks.{target.stage}", *target.arguments]
        try:
            runpy.run_module(f"tasks.{target.stage}", run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        counted.write_text(json.dumps(writes[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _watch(attack: Attack | None) -> list[int]:
    """Count this process's writes below outputs/, and end it at the one that the attack names."""
    writes = [0]

    def hook(event: str, given: tuple[object, ...]) -> None:
        if event == "open":
            flags = given[2] if len(given) > 2 else 0
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event not in EVENTS:
            return
        if "outputs" not in str(given[0]):
            return
        writes[0] += 1
        if attack is not None and attack.at_write == writes[0]:
            os.kill(os.getpid(), attack.number)

    sys.addaudithook(hook)
    return writes
