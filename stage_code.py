"""Modules of this repository that a stage imports, found from source without importing them.

`outputs/code/<stage>.json` holds them with their sha256. It is the stage's one dependency on code in dvc.yaml.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from config.methods import TRAINED
from errors import UserError

# Folders and modules at the root whose code a stage runs. config/ is left out on purpose: what it reads reaches a stage as
# parameters, which dvc.yaml tracks one by one.
CODE = (
    *("data", "methods", "models", "records", "registry", "reporting", "tasks", "training"),
    *(
        "broken_pipe",
        "checksums",
        "epoch_choice",
        "errors",
        "kinds",
        "metrics",
        "outputs",
        "progress",
        "resource_errors",
    ),
    *("seeds", "stage_code", "strict_yaml"),
)
METHOD_FILES = frozenset(f"methods/{name}.py" for name in TRAINED)
# Stages whose matrix runs over methods: dvc.yaml names the method's own file as a further dependency.
BY_METHOD = frozenset({"student", "assistant", "assisted_student", "meta_student", "multi_task", "curriculum"})
ALSO = {"curriculum": frozenset({"methods/mse_kd.py"})}
"""Method files that a stage of BY_METHOD runs whatever method it is for: kd_only's Eq. 1."""


def code_file(stage: str) -> Path:
    """The list of a stage's modules, relative to the root."""
    return Path("outputs", "code", f"{stage}.json")


class SourceTree:
    """The modules of one checkout; each file is read and parsed at most once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[Path, _Source] = {}

    def stages(self) -> list[str]:
        """Names of the modules directly in tasks/: stages and commands."""
        return sorted(path.stem for path in (self.root / "tasks").glob("*.py") if path.stem != "__init__")

    def modules_of(self, stage: str) -> dict[str, str]:
        """Dotted name -> sha256 of every module imported by tasks/<stage>.py, directly or not, itself included."""
        files = self._closure(f"tasks.{stage}")
        if stage in BY_METHOD:
            foreign = METHOD_FILES - ALSO.get(stage, frozenset())
            files = [file for file in files if str(file) not in foreign]
        return {".".join(file.with_suffix("").parts): self._source(self.root / file).checksum for file in files}

    def modules_now(self, stage: str) -> dict[str, str]:
        """`modules_of`, read from outputs/code if no file listed there has changed: imports are then the same."""
        recorded = recorded_modules(self.root, stage)
        if recorded and all(self._checksum_of(name) == checksum for name, checksum in recorded.items()):
            return recorded
        return self.modules_of(stage)

    def _closure(self, module: str) -> list[Path]:
        """Files relative to the root, sorted, without packages that hold only a docstring."""
        seen: set[Path] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if "." in name:
                waiting.append(name.rpartition(".")[0])  # Python runs the packages above a module before it
            file = self._file_of(name)
            if file is not None and file not in seen:
                seen.add(file)
                waiting += self._source(file).imports
        return sorted(path.relative_to(self.root) for path in seen if self._source(path).holds_code)

    def _file_of(self, module: str) -> Path | None:
        """The file of one of our modules; None for a foreign or unknown module."""
        parts = module.split(".")
        if parts[0] not in CODE:
            return None
        candidates = (self.root.joinpath(*parts).with_suffix(".py"), self.root.joinpath(*parts, "__init__.py"))
        return next((path for path in candidates if path.is_file()), None)

    def _checksum_of(self, module: str) -> str | None:
        """sha256 of a module's file; None if it is gone."""
        path = self.root.joinpath(*module.split(".")).with_suffix(".py")
        return self._source(path).checksum if path.is_file() else None

    def _source(self, path: Path) -> "_Source":
        if path not in self._sources:
            self._sources[path] = _Source(path)
        return self._sources[path]


class _Source:
    """One Python file: its checksum and, parsed on first use, its imports."""

    def __init__(self, path: Path) -> None:
        self._path, self._content = path, path.read_bytes()
        self.checksum = hashlib.sha256(self._content).hexdigest()

    @cached_property
    def _tree(self) -> ast.Module:
        try:
            return ast.parse(self._content, str(self._path))
        except SyntaxError as error:
            raise UserError(
                f"{self._path}: line {error.lineno}: {error.msg}; no stage that imports it can run"
            ) from None

    @cached_property
    def imports(self) -> tuple[str, ...]:
        return tuple(imported_names(self._tree))

    @property
    def holds_code(self) -> bool:
        """True if it holds more than a docstring."""
        return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in self._tree.body)


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all modules that a file imports, at any depth of its code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from package import module` imports a module, too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def code_text(modules: Mapping[str, str]) -> str:
    """The content of outputs/code/<stage>.json; equal modules give equal bytes."""
    return json.dumps(modules, indent=1, sort_keys=True) + "\n"


def recorded_modules(root: Path, stage: str) -> dict[str, str] | None:
    """Read outputs/code/<stage>.json; None if it is missing or unreadable."""
    try:
        found = json.loads((root / code_file(stage)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {str(name): str(checksum) for name, checksum in found.items()} if isinstance(found, dict) else None


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Files of modules that were added, removed or changed, sorted."""
    return [f"{name.replace('.', '/')}.py" for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
