"""Origin of a student: commit, code, recorded parameters, and versions."""

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from config.methods import BY_NAME, family_of
from config.parameters import Parameters, load
from errors import UserError
from outputs import has_record, output_folder, read_record, student_folder
from paths import git_environment
from records.stage_run import RunRecord
from registry.evidence import EvaluatedStudent
from reporting.effort import base_of
from stage_code import CODE

ROOT = Path(__file__).resolve().parents[1]
UNKNOWN = "unknown"
# What decides how a student comes about: the code of stages, and what reads their parameters.
SOURCES = (
    *("config", "environment.py", "paths.py"),
    *(f"{name}.py" if (ROOT / f"{name}.py").is_file() else name for name in CODE),
)
# Changed by every `dvc repro`, and attached to the run itself.
NOT_DIRT = "dvc.lock"


@dataclass(frozen=True)
class Checkout:
    """State of the registering repository; `dirty` is 'true', 'false' or 'unknown'."""

    commit: str
    dirty: str
    code_hash: str


def checkout() -> Checkout:
    """The commit, whether files differ from it (dvc.lock aside), and a hash of the code."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", f":(exclude){NOT_DIRT}")
    dirty = UNKNOWN if changed is None or commit is None else str(bool(changed)).lower()
    return Checkout(commit or UNKNOWN, dirty, _code_hash())


def _git(*arguments: str) -> str | None:
    """Output of a git command; None without git, or outside of a repository."""
    try:
        done = subprocess.run(
            ("git", *arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, env=git_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _code_hash() -> str:
    """sha256 over our Python files by name."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        path = ROOT / folder
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(ROOT)).encode() + b"\n" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def records(student: EvaluatedStudent) -> dict[str, RunRecord]:
    """run.json by stage for the stages behind a student, without stages whose output is missing.

    'base' is the student that a curriculum went on from.
    """
    dataset, seed = student.dataset, student.seed
    folders = {
        "split": output_folder("split", dataset=dataset),
        "teacher": output_folder("teacher", dataset=dataset, seed=seed),
    }
    own = read_record(RunRecord, student.folder) if has_record(student.folder) else None
    base = None if own is None else base_of(own)
    if base is not None:
        folders["base"] = student_folder(dataset, base, seed)
    if own is not None and own.stage == "curriculum":
        folders["meta_teacher"] = output_folder("meta_teacher", dataset=dataset, seed=seed)
    folders |= {"student": student.folder, "evaluate": student.evaluated}
    return {stage: read_record(RunRecord, folder) for stage, folder in folders.items() if has_record(folder)}


def run_parameters(student: EvaluatedStudent, found: Mapping[str, RunRecord]) -> dict[str, str]:
    """'section.key' -> value as recorded by the stages; the student's own stage takes precedence."""
    values: dict[str, str] = {}
    for stage in ("split", "teacher", "base", "meta_teacher", "evaluate", "student"):
        values |= flattened(found[stage].params) if stage in found else {}
    own = {family_of(student.method)[1], *([found["base"].method] if "base" in found else [])}
    kept = {key: value for key, value in values.items() if key.partition(".")[0] not in BY_NAME.keys() - own}
    fixed = {"benchmark": student.benchmark, "dataset": student.dataset, "method": student.method}
    return {**fixed, "seed": str(student.seed), **kept}


def versions(found: Mapping[str, RunRecord]) -> dict[str, str]:
    """Versions of Python and of the packages that the student was made with."""
    return found["student"].versions if "student" in found else {}


def flattened(content: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested mappings as 'a.b' -> text; lists in one piece."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flattened({str(inner): part for inner, part in value.items()}, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


def params_text(parameters: Parameters) -> str:
    """params.yaml verbatim if it holds these values; else (another file was used) the values."""
    path = Path("params.yaml")
    try:
        if load(path) == parameters:
            return path.read_text(encoding="utf-8")
    except UserError:
        pass
    return yaml.safe_dump(parameters.model_dump(mode="json", by_alias=True), sort_keys=False)
