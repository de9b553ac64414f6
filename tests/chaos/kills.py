"""Stages killed at random moments and in the midst of writes, started again, and compared with undisturbed runs."""

import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.comparison import differences
from tests.chaos.processes import Attack, Ended, draw, run
from tests.chaos.targets import Target

MOST_KILLS = 6
"""Of one run, before it is left alone."""


@dataclass(frozen=True)
class Outcome:
    """One thing that was tried."""

    name: str
    ok: bool
    kills: int = 0
    resumed: int = 0
    """Starts that went on from a checkpoint."""
    said: str = ""


@dataclass(frozen=True)
class Undisturbed:
    """A target that ran in peace: what it left is kept beside the workspace."""

    target: Target
    ended: Ended
    output: Path


def run_all(targets: Sequence[Target], folder: Path, kept: Path, tell: Callable[[str], None]) -> list[Undisturbed]:
    """Run everything once, in order. Raises RuntimeError if a stage fails even so."""
    found = []
    for number, target in enumerate(targets):
        ended = run(target, folder)
        if ended.status != 0:
            raise RuntimeError(f"{target.name} fails without any attack:\n{ended.said}")
        output = kept / str(number)
        shutil.copytree(folder / target.output, output)
        found.append(Undisturbed(target, ended, output))
        tell(f"{target.name}: {ended.seconds:.1f} s, {ended.writes} writes")
    return found


def kill_until_done(one: Undisturbed, folder: Path, random: Random, kills: int) -> Outcome:
    """Kill a stage again and again, then let it end: its output must be that of the undisturbed run."""
    target, done, resumed = one.target, 0, 0
    shutil.rmtree(folder / target.output, ignore_errors=True)
    for _ in range(kills):
        ended = run(target, folder, draw(random, one.ended))
        resumed += _went_on(ended)
        if ended.status != -signal.SIGKILL:
            break
        done += 1
        if (folder / target.output).exists() and differences(one.output, folder / target.output):
            return Outcome(target.name, False, done, resumed, "a killed run left an output that is not whole")
    else:
        ended = run(target, folder)
        resumed += _went_on(ended)
    return _judged(one, folder, Outcome(target.name, True, done, resumed), ended)


def damage_checkpoint(one: Undisturbed, folder: Path, random: Random) -> Outcome:
    """Kill a stage, spoil its newest checkpoint, start it again: told, not used, and the same result."""
    name = f"{one.target.name}, its newest checkpoint damaged"
    shutil.rmtree(folder / one.target.output, ignore_errors=True)
    # Most writes are of checkpoints: by then there are some.
    ended = run(one.target, folder, Attack(at_write=random.randint(one.ended.writes // 2, one.ended.writes * 3 // 4)))
    kills = int(ended.status == -signal.SIGKILL)
    found = sorted((folder / "outputs/checkpoints").glob("*/*/step-*/state.pt"))
    if not found:
        run(one.target, folder)
        return Outcome(name, False, kills, said="the kill left no checkpoint")
    content = bytearray(found[-1].read_bytes())
    if random.random() < 0.5:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    else:
        content = content[: random.randrange(len(content))]
    found[-1].write_bytes(content)
    ended = run(one.target, folder)
    if "is damaged" not in ended.said:
        return Outcome(name, False, kills, said=f"the damage was not told:\n{ended.said}")
    return _judged(one, folder, Outcome(name, True, kills, _went_on(ended)), ended)


def terminate(one: Undisturbed, folder: Path, random: Random) -> Outcome:
    """SIGTERM at a random moment: exit 143, and the next run goes on."""
    name = f"{one.target.name}, SIGTERM"
    shutil.rmtree(folder / one.target.output, ignore_errors=True)
    ended = run(one.target, folder, Attack(signal.SIGTERM, after=random.uniform(0.2, 0.9) * one.ended.seconds))
    if ended.status not in (0, 128 + signal.SIGTERM):
        return Outcome(name, False, said=f"ended with {ended.status} instead of 143:\n{ended.said}")
    hit = ended.status != 0
    ended = run(one.target, folder)
    return _judged(one, folder, Outcome(name, True, int(hit), _went_on(ended)), ended)


def _went_on(ended: Ended) -> int:
    return int("goes on from its checkpoint" in ended.said)


def _judged(one: Undisturbed, folder: Path, outcome: Outcome, ended: Ended) -> Outcome:
    """The outcome, or what is wrong with the run that ended it."""

    def failed(why: str) -> Outcome:
        return Outcome(outcome.name, False, outcome.kills, outcome.resumed, why)

    if ended.status != 0:
        return failed(f"ended with {ended.status}:\n{ended.said}")
    if found := differences(one.output, folder / one.target.output):
        return failed(f"differs from the undisturbed run in {', '.join(found)}")
    # Later stages read this output: its record of times must be the one that their undisturbed runs read.
    shutil.rmtree(folder / one.target.output)
    shutil.copytree(one.output, folder / one.target.output)
    left = list((folder / "outputs/.partial").glob("*"))
    left += list((folder / "outputs/checkpoints").glob("*/*"))
    if left:
        return failed(f"left behind: {', '.join(map(str, left))}")
    return outcome
