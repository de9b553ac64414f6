"""Imports of this repository's modules, read from their source without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from stage_code import imported_names

ROOT = Path(__file__).parents[1]


def imported(file: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, wherever in it the import stands."""
    yield from imported_names(ast.parse(file.read_text(encoding="utf-8")))


def modules_of(folder: str) -> list[Path]:
    """The Python files of a folder, without those that hold nothing but a docstring."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if _holds_code(path))


def product_files() -> list[Path]:
    """All modules but tests: those at the root, and those in folders."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in ("tests", "outputs")]
    inside = [path for folder in folders if not folder.name.startswith(".") for path in folder.rglob("*.py")]
    return sorted([*ROOT.glob("*.py"), *inside])


def _holds_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
