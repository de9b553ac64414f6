"""The frame of every stage: arguments, parameters, an atomic output folder, and its record.

A stage is a function that gets a Stage and writes into `stage.folder`; `run_stage` does the rest. Exit status: 0, or 2
with one line on stderr that says what to do. Of several processes the first writes, and only one reports an error.
"""

import argparse
import contextlib
import difflib
import functools
import io
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from safetensors import SafetensorError

import environment
from broken_pipe import without_readers
from checksums import (
    check_unchanged,
    combined,
    file_sums,
    stamps,
    sums_for_record,
    unchanged_since,
)
from config.parameters import Parameters, load
from errors import UserError
from models.folders import whole_folder
from outputs import OUTPUTS, json_text, rows_text
from records.base import Record, RecordRow
from records.stage_run import RunRecord
from resource_errors import disk_error, no_memory
from seeds import named
from stage_code import SourceTree, changed_modules, code_file, recorded_modules
from tasks.runtime import gc_during_import
from tasks.runtime.declaration import declaration
from tasks.runtime.distributed import FIRST, PROCESSES, barrier_and_destroy, first_to_fail, peer_died
from training import interrupts

ROOT = Path(__file__).resolve().parents[2]
# None of these may talk to anybody, and none may print what is no news to the person at the terminal.
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # Threads that wait sleep. Spinning ones cost a stage many times its own time when it shares the machine.
    "OMP_WAIT_POLICY": "passive",
}
PACKAGES = ("torch", "transformers", "accelerate", "datasets", "safetensors", "tokenizers", "pyarrow", "numpy")
os.environ.update({key: value for key, value in QUIET.items() if key not in os.environ})


@dataclass
class Stage:
    """One run of one stage."""

    name: str
    parameters: Parameters
    dataset: str = ""
    method: str = ""
    seed: int = 0
    point: int = 0
    """Number of a search's setting, from 1; 0 without a search."""
    folder: Path = Path()
    inputs: list[Path] = field(default_factory=list)
    headline: str = ""
    device: str = "cpu"
    started: float = field(default_factory=time.monotonic)
    when_done: list[Callable[[], None]] = field(default_factory=list)
    """Called once the output is complete."""
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Closed at the end of the stage, whatever its result."""
    hashes: dict[Path, str] = field(default_factory=dict)
    stamps: dict[Path, dict[Path, tuple[int, int]]] = field(default_factory=dict)

    def read(self, path: Path) -> Path:
        """Note a folder of an earlier stage as an input. Raises UserError if it isn't there, or has changed."""
        if not path.exists():
            stage = path.relative_to(OUTPUTS).parts[0] if path.is_relative_to(OUTPUTS) else "an earlier stage"
            raise UserError(f"{path}: missing; {stage} has not run for this combination (run `dvc repro`)")
        self.inputs.append(path)
        if path not in self.hashes:
            self.stamps[path] = stamps(path)
            sums = file_sums(path)
            check_unchanged(path, sums, OUTPUTS)
            self.hashes[path] = combined(path, sums)
        return path

    def seed_of(self, purpose: str, *, of: str | None = None) -> int:
        """The seed of one of the stage's streams; `of` names another stage that the stream belongs to."""
        stage = of or self.name
        return named(self.seed, SEEDED_AS.get(stage, stage), self.dataset, purpose)

    def check_inputs_stayed(self) -> None:
        """Raise UserError if an input changed after it was read: the result would match neither version."""
        for path, before in self.stamps.items():
            if not unchanged_since(path, before, self.hashes[path]):
                raise UserError(f"{path}: changed while the stage ran; nothing of it was kept, run it again")

    def input_hashes(self) -> dict[str, str]:
        """sha256 of every input's content."""
        return {str(path): self.hashes[path] for path in self.inputs}

    @property
    def is_seeded(self) -> bool:
        """True if dvc.yaml runs it once a seed."""
        return "seed" in declaration(ROOT, self.name).keys

    def recorded_parameters(self) -> dict[str, object]:
        """The parameters that DVC tracks for the stage, and no others."""
        return declaration(ROOT, self.name).parameters(self.parameters, self.method, ROOT)

    def versions(self) -> dict[str, str]:
        """Versions of Python and of the libraries that affect a result."""
        return {"python": sys.version.split()[0], **_versions()}

    @property
    def writes(self) -> bool:
        """True in the main process; the others compute the same and have no output folder."""
        return FIRST

    def write(self, record: Record) -> None:
        """Write a record into the output folder. Raises UserError for NaN and infinity."""
        self.write_json(record.FILE, record.tree())

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Write a JSON file that no other stage reads. Raises UserError for NaN and infinity."""
        if not self.writes:
            return
        try:
            text = json_text(content)
        except ValueError as error:
            raise UserError(f"{name}: {error}: the training diverged; lower the learning rate") from None
        (self.folder / name).write_text(text, encoding="utf-8")

    def write_rows(self, kind: type[RecordRow], rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows of one kind as lines of JSON. Raises UserError for NaN and infinity."""
        if not self.writes:
            return
        try:
            lines = rows_text(kind, rows)
        except ValueError as error:
            raise UserError(f"{kind.FILE}: {error}: the training diverged; lower the learning rate") from None
        (self.folder / kind.FILE).write_text(lines, encoding="utf-8")

    def say(self, line: str) -> None:
        """Print a line on stderr; stdout is kept for the final line."""
        if self.writes:
            print(f"{self.title}: {line}", file=sys.stderr, flush=True)

    @property
    def title(self) -> str:
        """The stage's name and what it runs on, as in 'student rte mse_kd 42', or '... 42 point 2' of a search."""
        seed = str(self.seed) if self.is_seeded else ""
        point = f"point {self.point}" if self.point else ""
        return " ".join(part for part in (self.name, self.dataset, self.method, seed, point) if part)


# A student is drawn alike by whatever method it learns (seeds.py says what is shared, and why).
# Multi-task training draws what a curriculum with the sampler `uniform` draws.
SEEDED_AS = {"assisted_student": "student", "meta_student": "student", "multi_task": "curriculum"}
# Stages of another name than the family whose methods they train.
FAMILIES = {"assistant": "assisted", "assisted_student": "assisted", "meta_student": "meta_taught"}


def run_stage(name: str, work: Callable[[Stage], None]) -> None:
    """Parse the command line, run a stage's work and exit.

    Args:
        name: the stage; dvc.yaml declares its options, what it records of the parameters, and its output folder.
        work: writes into `stage.folder`, sets `stage.headline`.
    """
    declared = declaration(ROOT, name)
    keys = declared.keys
    gc_during_import.as_usual()
    _check_launcher(name)
    options = _arguments(name, work, keys)
    chosen = {key: getattr(options, key) for key in keys}
    try:
        environment.check(environment.cleaned(os.environ, launched=True))
        stage = Stage(name, load(options.params), **chosen)
        _check_chosen(stage, keys)
        _check_code(name)
        target = declared.output_of(chosen)
        with interrupts.handled(), stage.resources:
            with _output(target) as stage.folder:
                work(stage)
                stage.check_inputs_stayed()
                stage.write(_record(stage))
            for finish in stage.when_done:
                finish()
            barrier_and_destroy()
        seconds = time.monotonic() - stage.started
        if stage.writes:
            with without_readers():
                print(f"{stage.title}: {stage.headline}, {seconds:.1f} s, {target}", flush=True)
    except interrupts.Terminated as end:
        _stop(f"{name}: {end}, stopped; the next run goes on where a checkpoint was kept", 128 + end.number)
    except UserError as error:
        _stop(f"{name}: {error}")
    except BrokenPipeError:
        _stop(f"{name}: nobody reads what it prints any more, stopped", 128 + signal.SIGPIPE)
    except (OSError, SafetensorError, MemoryError, RuntimeError) as error:
        reason = disk_error(error) or peer_died(error)
        reason = reason or no_memory(error, name, load(options.params), chosen.get("method", ""))
        if reason is None:
            raise
        _stop(f"{name}: {reason}")


def _check_launcher(name: str) -> None:
    """Exit with one line if other processes should exist and cannot be reached, so that no main process is known."""
    try:
        environment.check_launcher(environment.cleaned(os.environ, launched=True))
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


def _check_chosen(stage: Stage, keys: tuple[str, ...]) -> None:
    """Raise UserError if the command line names what params.yaml does not list."""
    given, family = stage.parameters, FAMILIES.get(stage.name, stage.name)
    own: tuple[str, ...] | None = getattr(given.methods, family, None)
    methods = ("methods", given.methods.names) if own is None else (f"methods.{family}", own)
    known = {"dataset": ("datasets", given.datasets), "method": methods}
    for key in (key for key in keys if key in known):
        value, (listed_as, allowed) = str(getattr(stage, key)), known[key]
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"those are {', '.join(allowed)}"
            raise UserError(f"--{key} {value}: not among `{listed_as}` of params.yaml; {hint}")
    if not 0 <= stage.seed < 2**32:
        raise UserError(f"--seed {stage.seed}: a seed is a whole number from 0 to 4294967295")


def _check_code(name: str) -> None:
    """Raise UserError if outputs/code, which DVC relies on, is older than the code.

    `dvc repro --single-item STAGE` doesn't look at the stages before, so it is the one way to get here.
    """
    recorded = recorded_modules(Path(), name)
    if recorded is None or name == "code":
        return  # started by hand where no pipeline has run
    changed = changed_modules(recorded, _modules(name))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{code_file(name)}: written before {changed[0]}{more} changed, so DVC would keep this result as one of the old "
            "code; `dvc repro code`, then this again"
        )


@functools.cache
def _modules(name: str) -> dict[str, str]:
    """sha256 of every module of the stage; looked up once, as each is imported once."""
    return SourceTree(ROOT).modules_now(name)


def _stop(message: str, status: int = 2) -> None:
    # A launcher ends the others as soon as one is gone, whatever they have to say.
    with interrupts.ignored(), without_readers():
        if first_to_fail():
            print(message, file=sys.stderr, flush=True)
    raise SystemExit(status) from None


def _arguments(name: str, work: Callable[[Stage], None], keys: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m tasks.{name}", description=work.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file (params.yaml)")
    for key in keys:
        parser.add_argument(f"--{key}", required=True, type=int if key == "seed" else str)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_args()
    except SystemExit:
        if first_to_fail():
            print(said.getvalue(), end="", file=sys.stderr, flush=True)
        raise


@contextlib.contextmanager
def _output(target: Path) -> Generator[Path]:
    """The stage's output folder, created atomically from outputs/.partial, which no stage depends on.

    A process that does not write gets a folder that does not exist.
    """
    name = "-".join(target.relative_to(OUTPUTS).parts)
    aside = OUTPUTS / ".partial" / f"{name}-{os.getpid()}"
    if not FIRST:
        yield aside
        return
    _remove_what_killed_runs_left(aside.parent, name)
    with whole_folder(target, aside) as folder:
        yield folder


def _remove_what_killed_runs_left(folder: Path, name: str) -> None:
    """Delete partial outputs of this name whose process has ended."""
    for path in folder.glob(f"{name}-*"):
        process = re.fullmatch(r"(\d+)(-replaced)?", path.name.removeprefix(f"{name}-"))
        if process and (int(process[1]) == os.getpid() or not Path("/proc", process[1]).exists()):
            shutil.rmtree(path, ignore_errors=True)


def _record(stage: Stage) -> RunRecord:
    now = time.time()
    seconds = time.monotonic() - stage.started
    return RunRecord(
        stage=stage.name,
        dataset=stage.dataset or None,
        method=stage.method or None,
        seed=stage.seed if stage.is_seeded else None,
        params=stage.recorded_parameters(),
        input_hashes=stage.input_hashes(),
        code=_modules(stage.name),
        files=sums_for_record(stage.folder) if stage.writes else {},
        versions=stage.versions(),
        device=stage.device,
        threads=stage.parameters.threads,
        processes=PROCESSES,
        started=datetime.fromtimestamp(now - seconds, UTC).isoformat(timespec="seconds"),
        duration_s=round(seconds, 3),
        **resource_usage(),
    )


def resource_usage() -> dict[str, float]:
    """CPU seconds (user and system) and peak memory (MiB) of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_memory_mb": round(usage.ru_maxrss / 1024, 1),
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
