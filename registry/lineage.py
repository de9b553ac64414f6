"""Where a student came from: the commit, the code, the parameters that the stages recorded, the versions they ran with."""

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from config.methods import BY_NAME, family_of
from config.parameters import Parameters, load
from errors import UserError
from outputs import output_folder
from paths import git_environment
from registry.evidence import Student, read_json
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
    """The state of the repository that registers; `dirty` is 'true', 'false' or 'unknown'."""

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
    """What git answers; None without git, or outside of a repository."""
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


def records(student: Student) -> dict[str, dict[str, object]]:
    """run.json by stage, of the stages behind a student; a stage whose output isn't here is left out.

    'base' is the student that a curriculum went on from.
    """
    dataset, seed = student.dataset, student.seed
    folders = {
        "split": output_folder("split", dataset=dataset),
        "teacher": output_folder("teacher", dataset=dataset, seed=seed),
    }
    family, name = family_of(student.method)
    if family == "curriculum":
        own = read_json(student.folder / "run.json") if (student.folder / "run.json").is_file() else {}
        base = str(_inner(_inner(own.get("params"), name), "base"))
        folders["base"] = output_folder("student", dataset=dataset, method=base, seed=seed)
        folders["meta_teacher"] = output_folder("meta_teacher", dataset=dataset, seed=seed)
    if family == "multi_task":
        folders["base"] = output_folder("student", dataset=dataset, method=name, seed=seed)
    folders |= {"student": student.folder, "evaluate": student.evaluated}
    paths = {stage: folder / "run.json" for stage, folder in folders.items()}
    return {stage: read_json(path) for stage, path in paths.items() if path.is_file()}


def run_parameters(student: Student, found: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """'section.key' -> value, as the stages recorded them; the student's own stage has the last word."""
    values: dict[str, str] = {}
    for stage in ("split", "teacher", "base", "meta_teacher", "evaluate", "student"):
        given = found.get(stage, {}).get("params")
        values |= flattened(given) if isinstance(given, Mapping) else {}
    family, name = family_of(student.method)
    own = {name, *([values.get(f"{name}.base")] if family == "curriculum" else [])}
    kept = {key: value for key, value in values.items() if key.partition(".")[0] not in BY_NAME.keys() - own}
    fixed = {"benchmark": student.benchmark, "dataset": student.dataset, "method": student.method}
    return {**fixed, "seed": str(student.seed), **kept}


def versions(found: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Versions of Python and of the packages that the student was made with."""
    given = found.get("student", {}).get("versions")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, Mapping) else {}


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
    """params.yaml as it is if those are its values, comments and all; else (another file was given) the values."""
    path = Path("params.yaml")
    try:
        if load(path) == parameters:
            return path.read_text(encoding="utf-8")
    except UserError:
        pass
    return yaml.safe_dump(parameters.model_dump(mode="json", by_alias=True), sort_keys=False)


def _inner(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None
