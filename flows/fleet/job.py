"""One stage on a worker, in the snapshot's tree: `python -m flows.fleet.job STAGE KEY`, started by flows/fleet/child.py.

It writes the ticket's dvc.lock, fetches what the stage reads and no more, runs `dvc repro -s`, pushes what the stage wrote
and then its entry of the run cache: that file is the commit point, and who finds it finds the outputs.
"""

import os
import platform
import sys
import time
from pathlib import Path

from errors import UserError
from flows import run_cache
from flows.dvc_adapter.recorded_runs import RecordedRuns, write_lock
from flows.dvc_adapter.remote_files import remote_files
from flows.dvc_adapter.repository import Repository, open_repository
from flows.dvc_adapter.tracked import DvcStage
from flows.fleet import tickets
from flows.fleet.messages import ChildFailure, ChildResult, to_json
from flows.fleet.queues import MACHINE, RESULT
from flows.runner import Runner, StageFailed
from flows.signal_handlers import as_ctrl_c

PUSHES = (5.0, 20.0, 60.0)  # seconds before each further try to push: the outputs stay in this machine's cache


def main(name: str, key: str) -> int:
    """Run the stage and write how it ended to the file that the child named; the exit status."""
    machine = os.environ.get(MACHINE) or platform.node()
    try:
        with as_ctrl_c():
            end: ChildResult | ChildFailure = run(Path.cwd(), name, key, machine)
    except StageFailed as failure:
        end = ChildFailure(failure.status, machine, failure.tail)
    except (UserError, OSError) as error:
        end = ChildFailure(2, machine, (str(error),))
        print(error, flush=True)
    except KeyboardInterrupt:
        return 130
    Path(os.environ[RESULT]).write_text(to_json(end), encoding="utf-8")
    return 0 if isinstance(end, ChildResult) else 1


def run(root: Path, name: str, key: str, machine: str) -> ChildResult:
    """Run one stage in `root`. Raises StageFailed for its own error, UserError for what keeps it from running."""
    trial = _prepare(root, name, key)
    runner, start = Runner(root, trial), time.monotonic()
    try:
        done = runner.run(name, lambda line: print(line, flush=True))
    finally:
        runner.stop()
    seconds = time.monotonic() - start
    outcome = "restored" if done.outcome == "restored" else "ran"
    return ChildResult(outcome, seconds, machine, cpu_model(), _push_patiently(root, name, key))


def _prepare(root: Path, name: str, key: str) -> str:
    """Bring the tree into the state in which the stage can run; the run's other values, in words."""
    with open_repository(root) as repo:
        ticket = tickets.read(remote_files(repo), key)
    write_lock(root, ticket.lock)
    with open_repository(root) as repo:
        repo.verify_downloads()
        run_cache.remove_forged(repo.cache)
        RecordedRuns(repo, run_cache.remove_forged).fetch_inputs(name)
        own = repo.entry_key(_stage(repo, name))
    if own != key:
        raise UserError(
            f"{name}: its inputs here have another key ({own}) than the run that sent it found ({key}). A file that git ignores "
            "may lie among them, or the two machines read parameters otherwise (another version of DVC?)"
        )
    return ticket.trial


def _push_patiently(root: Path, name: str, key: str) -> str:
    for pause in (*PUSHES, None):
        try:
            return _push(root, name, key)
        except (UserError, OSError) as error:
            if pause is None:
                raise UserError(
                    f"{name}: its outputs could not be pushed; they stay in this machine's cache: {error}"
                ) from None
            print(f"push failed, tried again in {pause:.0f} s: {error}", flush=True)
            time.sleep(pause)
    raise AssertionError


def _push(root: Path, name: str, key: str) -> str:
    """Push the outputs, then the entry; the entry's name."""
    with open_repository(root) as repo:
        entry = repo.recorded_entry(_stage(repo, name))
        if entry is None or entry[0] != key:
            raise UserError(f"{name}: its inputs changed while it ran, so its result is not counted")
        run_cache.push(repo, [name])
    return entry[1]


def _stage(repo: Repository, name: str) -> DvcStage:
    for stage in repo.stages():
        if stage.name == name:
            return stage
    raise UserError(f"{name}: no such stage in the snapshot")


def cpu_model() -> str:
    """The CPU's model, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return " ".join(next(names, platform.processor() or platform.machine()).split())


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
