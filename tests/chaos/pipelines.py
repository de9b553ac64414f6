"""`dvc repro`, the registry, flows and servers: killed with all their processes, run two at once, and run again."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.comparison import differences
from tests.chaos.kills import Outcome
from tests.pipeline.workspace import Workspace, environment, make_workspace

LONGEST = 900
CUT = {"dvc.lock": "dvc.lock", "RWLock-file": ".dvc/tmp/rwlock"}
"""DVC's messages where a kill truncated a file that it writes in place, and the file."""
CLEAR = ("ERROR: ", "Unable to acquire lock", "is busy", "Another")
"""Messages of a command that found another process at work."""


@dataclass(frozen=True)
class Pipeline:
    """A workspace, the stage up to which it runs, what an undisturbed run of that left, and how long it took."""

    workspace: Workspace
    chain: str
    kept: Path
    seconds: float


def prepare(work: Path, *, short: bool) -> Pipeline:
    """Make a workspace and run it once, undisturbed: up to a student, or, to be short, to a teacher's signals."""
    folder = work / "a pipeline"
    folder.mkdir()
    workspace = make_workspace(folder)
    with_checkpoints(workspace)
    chain = f"signals@{workspace.datasets[0]}-42" if short else student_of(workspace)
    started = time.monotonic()
    workspace.dvc("repro", "--quiet", chain)
    seconds = time.monotonic() - started
    shutil.copytree(workspace.output(), work / "by dvc")
    return Pipeline(workspace, chain, work / "by dvc", seconds)


def checks(pipeline: Pipeline, kills: int, random: Random) -> Iterator[Callable[[], Outcome]]:
    """To be run one after another: each works in the folder that the one before left."""
    for group in (True, False):
        for _ in range(max(1, kills // 50)):
            yield lambda group=group: kill_dvc(pipeline, random, group=group)
    for _ in range(max(1, kills // 50)):
        yield lambda: kill_while_the_lock_is_written(pipeline, random)
    yield lambda: damaged_lock(pipeline, random)
    yield lambda: kill_register(pipeline.workspace, max(2, kills // 20), random)
    yield lambda: two_at_once(pipeline)


def student_of(workspace: Workspace) -> str:
    """The last stage of the student that is registered."""
    return f"evaluate@{workspace.datasets[0]}-finetune-42"


def with_checkpoints(workspace: Workspace) -> None:
    """Keep one after every second step."""
    path = workspace.root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("steps: null", "steps: 2"), encoding="utf-8")
    assert "steps: 2" in path.read_text(encoding="utf-8")


def forget(workspace: Workspace) -> None:
    """Remove all outputs and records, for a fresh start."""
    for name in ("outputs", "dvc.lock", ".dvc/cache", ".dvc/tmp"):
        path = workspace.root / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def start(workspace: Workspace, *command: str, **extra: str) -> "subprocess.Popen[str]":
    """A command with processes of its own, in a session that can be killed as a whole."""
    return subprocess.Popen(
        command,
        cwd=workspace.root,
        env=environment() | extra,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]", after: float, *, group: bool) -> bool:
    """SIGKILL it, alone or with all its children, after so many seconds; whether it still ran."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        process.wait()
        return True
    return False


def kill_dvc(pipeline: Pipeline, random: Random, *, group: bool) -> Outcome:
    """Kill `dvc repro` (alone: its stage lives on) at a random moment, run it again: everything as if undisturbed."""
    workspace, chain = pipeline.workspace, pipeline.chain
    name = f"dvc repro {chain}, killed {'with its stage' if group else 'alone'}"
    hit, latest = False, pipeline.seconds
    while not hit:  # a machine that is faster now than it was is through before the blow
        forget(workspace)
        hit, latest = (
            kill(start(workspace, "dvc", "repro", chain), random.uniform(0.2, 0.9) * latest, group=group),
            latest / 2,
        )
    done = workspace.run("dvc", "repro", chain, check=False)
    if done.returncode and any(words in done.stdout for words in CUT):  # the blow fell while DVC wrote it
        return _without_what_was_cut(name, pipeline, done.stdout, int(hit))
    if done.returncode:
        return Outcome(name, False, int(hit), said=done.stdout)
    again = workspace.run("dvc", "repro", chain, check=False)
    if "Running stage" in again.stdout or again.returncode:
        return Outcome(name, False, int(hit), said=f"not everything is up to date afterwards:\n{again.stdout}")
    resumed = int("goes on from its checkpoint" in done.stdout)
    return compared(name, pipeline, int(hit), resumed)


def kill_while_the_lock_is_written(pipeline: Pipeline, random: Random) -> Outcome:
    """Kill `dvc repro` at the very moment at which dvc.lock changes: afterwards it is whole, or refused and replaced."""
    name, workspace = "dvc repro, killed while dvc.lock is written", pipeline.workspace
    forget(workspace)
    lock, changes = workspace.root / "dvc.lock", random.randint(1, 4)
    process = start(workspace, "dvc", "repro", pipeline.chain)
    seen = 0
    for _ in range(changes):
        while process.poll() is None and _changed(lock) == seen:
            time.sleep(0.0002)
        seen = _changed(lock)
    hit = kill(process, 0, group=True)
    done = workspace.run("dvc", "repro", pipeline.chain, check=False)
    if done.returncode:
        return _without_what_was_cut(name, pipeline, done.stdout, int(hit))
    return compared(name, pipeline, int(hit))


def damaged_lock(pipeline: Pipeline, random: Random) -> Outcome:
    """A dvc.lock that was cut is refused by name; without it nothing is trained again."""
    name, workspace = "dvc.lock cut in its midst", pipeline.workspace
    workspace.dvc("repro", "--quiet", pipeline.chain)
    lock = workspace.root / "dvc.lock"
    content = lock.read_bytes()
    lock.write_bytes(content[: random.randrange(len(content) // 4, len(content) * 3 // 4)])
    refused = workspace.run("dvc", "repro", pipeline.chain, check=False)
    if not refused.returncode:  # cut between two stages it is a shorter lock, and all that it lacks is in the cache
        return compared(name, pipeline, 0)
    return _without_what_was_cut(name, pipeline, refused.stdout, 0)


def _without_what_was_cut(name: str, pipeline: Pipeline, refused: str, kills: int) -> Outcome:
    """DVC named the file that was cut; deleted, it comes back, from DVC's memory of runs, and everything with it."""
    cut = [file for words, file in CUT.items() if words in refused]
    if not cut or "Traceback" in refused:
        return Outcome(name, False, kills, said=f"no clear error about dvc.lock or DVC's rwlock:\n{refused}")
    for file in cut:
        (pipeline.workspace.root / file).unlink()
    done = pipeline.workspace.run("dvc", "repro", pipeline.chain, check=False)
    if done.returncode or (not kills and "Running stage" in done.stdout):
        return Outcome(name, False, kills, said=done.stdout)
    return compared(name, pipeline, kills)


def _changed(path: Path) -> int:
    """Return when a file last changed; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def compared(name: str, pipeline: Pipeline, kills: int, resumed: int = 0) -> Outcome:
    """Every output of the undisturbed run is there and equal; input hashes hold records of time, and are left out."""
    found = [
        f"{stage.name}/{path}"
        for stage in sorted(pipeline.kept.iterdir())
        if stage.name not in ("checkpoints", ".partial")
        for path in differences(stage, pipeline.workspace.output(stage.name))
        if not path.endswith("run.json")
    ]
    return Outcome(name, not found, kills, resumed, said=f"differs in {', '.join(found)}" if found else "")


def kill_register(workspace: Workspace, kills: int, random: Random) -> Outcome:
    """Kill the registration at random moments, let it end: one version and one finished run for the student."""
    name, done = "register", 0
    workspace.dvc("repro", "--quiet", student_of(workspace))
    for _ in range(3 * kills):
        if done == kills:
            break
        hit = kill(start(workspace, "python", "-m", "tasks.register"), random.uniform(0.5, 6.0), group=True)
        done += hit
        if not hit:  # it was through before the blow; what is registered already takes no time
            shutil.rmtree(workspace.output("mlflow"), ignore_errors=True)
    ended = workspace.run("python", "-m", "tasks.register", check=False)
    if ended.returncode:
        return Outcome(name, False, done, said=ended.stdout)
    said = registered(workspace.output("mlflow", "mlflow.db"))
    return Outcome(name, not said, done, said=said)


def registered(database: Path) -> str:
    """List the registry's faults: a version or a finished run twice, or one that never ended."""
    with closing(sqlite3.connect(database)) as connection:
        versions = connection.execute("select name, count(*) from model_versions group by name").fetchall()
        runs = connection.execute("select name, status from runs where lifecycle_stage = 'active'").fetchall()
    if [count for _, count in versions] != [1]:
        return f"versions: {versions}"
    return "" if [status for _, status in runs] == ["FINISHED"] else f"runs: {runs}"


def is_clear(said: str) -> bool:
    """Return whether a command that failed said that somebody else is at work."""
    return any(words in said for words in CLEAR) and "Traceback" not in said


def two_at_once(pipeline: Pipeline) -> Outcome:
    """Two `dvc repro` of the same: each ends well, or with one clear error; then everything is there, once."""
    name, workspace, chain = "two dvc repro at once", pipeline.workspace, pipeline.chain
    forget(workspace)
    both = [start(workspace, "dvc", "repro", chain) for _ in range(2)]
    for process in both:
        said, _ = process.communicate(timeout=LONGEST)
        if process.returncode and not is_clear(said):
            return Outcome(name, False, said=f"ended with {process.returncode} and no clear error:\n{said}")
    if all(process.returncode for process in both):
        return Outcome(name, False, said="both failed")
    workspace.dvc("repro", "--quiet", chain)
    return compared(name, pipeline, 0)
