"""What modules of this repository import, read from their source with ast and without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from method_sections import AssistedMethod, StudentMethod

ROOT = Path(__file__).parents[1]
# The folders (and two files) whose code a stage runs. config.py and params_file.py are left out on purpose: what they read reaches a
# stage as parameters, which dvc.yaml tracks one by one.
FOLDERS = ("data", "methods", "models", "seeds", "strict_yaml", "tasks", "training")
METHOD_FILES = [f"methods/{name}.py" for name in get_args(StudentMethod) + get_args(AssistedMethod)]
# Stages whose matrix runs over methods: each depends on its own method's file, and no such file imports another.
BY_METHOD = ("student", "assistant", "assisted", "meta_taught", "multi_task")


def imported(file: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(folder: str) -> list[Path]:
    """The Python files of a folder, without those that hold nothing but a docstring."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if _holds_code(path))


def closure(module: str) -> list[str]:
    """Files of FOLDERS that a module imports, directly or not, itself included; relative to the root, sorted."""
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        file = _file_of(waiting.pop())
        if file is not None and file not in seen:
            seen.add(file)
            waiting += imported(file)
    return sorted(str(path.relative_to(ROOT)) for path in seen if _holds_code(path))


def run_by(stage: str) -> list[str]:
    """The code that a stage runs, but the files of methods where its matrix runs over them; sorted."""
    files = closure(f"tasks.{stage}")
    return [file for file in files if file not in METHOD_FILES] if stage in BY_METHOD else files


def _file_of(module: str) -> Path | None:
    """The file of one of our modules; None for a foreign module, or for a name that is no module."""
    parts = module.split(".")
    if parts[0] not in FOLDERS:
        return None
    candidates = (ROOT.joinpath(*parts).with_suffix(".py"), ROOT.joinpath(*parts, "__init__.py"))
    return next((path for path in candidates if path.is_file()), None)


def _holds_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
