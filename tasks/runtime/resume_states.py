"""The folder of a stage's resume states, and the identity that a state must match.

`outputs/checkpoints/<stage>-<dataset>[-<method>]-<seed>/<identity>/`, in the repository that a worktree or a temporary
experiment was made from, so that a run that is started again finds them there, too. The identity is a digest of the
stage's parameters, the content of its inputs, the code that was loaded, the libraries and the hardware. A checkpoint of
another identity is set aside: it stays where it is, one for each stage, and serves a run that goes back to its values.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from checksums import digest_of, sum_of
from outputs import OUTPUTS
from paths import home
from stage_code import CODE
from tasks.runtime.stage import ROOT, Stage
from training.fsdp import is_asked
from training.resume import Cadence, Checkpoints
from training.resume_files import CheckpointFiles

FOLDER = OUTPUTS / "checkpoints"
RECORD = "identity.json"


def checkpoints_of(stage: Stage, accelerator: Accelerator) -> Checkpoints:
    """The checkpoints of a stage's training. Call it after all inputs are read: they are part of the identity."""
    given = stage.parameters.checkpoint
    if given.minutes is None and given.steps is None:
        return Checkpoints()
    place: list[tuple[str, dict[str, str]]] = [("", {})]
    if accelerator.is_main_process:
        identity = _identity(stage, accelerator)
        place = [(str(_folder(stage, identity)), identity)]
    if accelerator.num_processes > 1:  # one identity for all: their GPUs may not be of one kind
        broadcast_object_list(place)
    folder, identity = place[0]
    seconds = None if given.minutes is None else given.minutes * 60
    files = CheckpointFiles(Path(folder), identity, stage.say)
    # A point of a search that is done stays as it ended until all are.
    found = Checkpoints(files, Cadence(seconds, given.steps), accelerator, keeps_end=bool(stage.point))
    stage.when_done.append(found.remove)
    return found


def _identity(stage: Stage, accelerator: Accelerator) -> dict[str, str]:
    """Digests by name, so that a run can report which one changed."""
    hardware = [stage.device, str(accelerator.num_processes), accelerator.mixed_precision]
    hardware += ["in parts"] if is_asked() else []
    return {
        "parameters": digest_of([stage.recorded_parameters(), stage.dataset, stage.method, stage.seed]),
        "data": digest_of(stage.input_hashes()),
        "code": digest_of(_loaded_code()),
        "libraries": digest_of(stage.versions()),
        "hardware": digest_of(hardware),
    }


def _loaded_code() -> dict[str, str]:
    """Digest of our loaded modules that affect numbers."""
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    folders = tuple(f"{ROOT / name}{os.sep}" for name in CODE)
    modules = {str(ROOT / f"{name}.py") for name in CODE}
    ours = sorted(Path(name) for name in files if name.startswith(folders) or name in modules)
    return {str(path.relative_to(ROOT)): sum_of(path) for path in ours}


def _folder(stage: Stage, identity: Mapping[str, str]) -> Path:
    """This run's own folder; another one if a live process uses it."""
    parent = home(Path.cwd()) / FOLDER / stage.title.replace(" ", "-")
    folder = parent / digest_of(identity)[:12]
    _say_what_is_set_aside(stage, parent, folder, identity)
    lock = _lock(folder)
    if lock is None:
        stage.say(f"another process trains the same now; its checkpoints in {folder} are left alone")
        folder = folder.with_name(f"{folder.name}-{os.getpid()}")
        lock = _lock(folder)
    if lock is not None:
        stage.resources.callback(lock.close)
    stage.resources.callback(_remove_empty, parent)
    with contextlib.suppress(OSError):  # it only explains a folder; a full disk is met again where it matters
        (folder / RECORD).write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
    return folder


def _lock(folder: Path) -> IO[str] | None:
    """Create a folder and lock it until this process ends; None if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = (folder / "lock").open("w", encoding="utf-8")
    except FileNotFoundError:  # another process removed it as empty just now
        return _lock(folder)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:  # a file system without locks: who shares it sees to it that one process trains what it trains
        pass
    return file


def _remove_empty(folder: Path) -> None:
    """Remove a stage's folder, and the parent of all stages, if empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()


def _say_what_is_set_aside(stage: Stage, parent: Path, folder: Path, identity: Mapping[str, str]) -> None:
    """Print a line about the newest checkpoint of another identity; delete older ones, and those of ended processes."""
    others = [path for path in parent.glob("*") if path.is_dir() and path != folder]
    kept = [path for path in others if "-" not in path.name and any(path.glob("step-*"))]
    kept.sort(key=_changed_at)
    # Of dead processes, too: which one lives, in this container or another one, only its lock tells.
    for path in [*(path for path in others if re.fullmatch(r"[0-9a-f]{12}-\d+", path.name)), *kept[:-1]]:
        if (lock := _lock(path)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            lock.close()
    if kept and not any(folder.glob("step-*")):
        stage.say(f"starts afresh: the checkpoint {kept[-1]} is of other {_differences(kept[-1], identity)}; set aside")


def _changed_at(folder: Path) -> float:
    """Return a folder's modification time; 0 if another process has just removed it."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _differences(folder: Path, identity: Mapping[str, str]) -> str:
    try:
        theirs = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        names = [name for name, value in identity.items() if theirs.get(name) != value]
    except (OSError, ValueError, AttributeError):
        names = []
    return " and ".join(names) or "values"
