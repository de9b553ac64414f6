"""Names and first lines of docstrings: each name stands for one thing, and a first line says what the thing does."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_imports import ROOT, product_files

CLAUSE = re.compile(r"(what|who|whose|which|where|how|whether|when|why)\b(?! to\b)", re.IGNORECASE)
"""First words of a first line that describes a thing by a clause, where an imperative or a noun phrase names it."""

METHOD_FILES = ("config/", "methods/")
"""A method's parameters, as a section of params.yaml and as the method itself, have the method's name in both folders."""
SAME_FILE = {
    "co_training.py": "methods/ has its types, training/ its loop, tasks/student_training/ its part of the stage",
    "fixed_teacher.py": "training/ has the teacher, tasks/student_training/ the part of the stage that trains with it",
    "meta_teacher.py": "methods/ has the network and its loss, training/ the loop, tasks/ the stage",
    "multi_task.py": "training/curriculum/ has the loop, tasks/ the stage",
}
"""Names of files that stand in two folders, because each folder has its part of the same thing."""


FILES = [path.relative_to(ROOT) for path in product_files()]


def docstrings(file: Path) -> Iterator[tuple[int, str]]:
    """Line and first line of every docstring of a module, those of fields and constants among them."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value.value
                if isinstance(text, str) and text.strip():
                    yield statement.lineno, text.strip().splitlines()[0]


@pytest.mark.parametrize("folder", sorted({path.parts[0] for path in FILES}))
def test_first_lines_of_docstrings_are_no_clauses(folder: str) -> None:
    files = [path for path in FILES if path.parts[0] == folder]
    wrong = [f"{file}:{line}: {text}" for file in files for line, text in docstrings(file) if CLAUSE.match(text)]
    assert wrong == [], "begin with an imperative or a noun phrase: 'Return whether ...', 'Sources of rows'"


def test_a_class_name_stands_for_one_thing() -> None:
    defined = defaultdict[str, list[str]](list)
    for file in FILES:
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(str(file))
    twice = {name: files for name, files in defined.items() if len(files) > 1 and not _is_a_method(files)}
    assert twice == {}


def _is_a_method(files: list[str]) -> bool:
    return len(files) == 2 and all(
        file.startswith(place) for file, place in zip(sorted(files), METHOD_FILES, strict=True)
    )


def test_a_file_name_stands_for_one_thing() -> None:
    places = defaultdict[str, list[str]](list)
    for file in FILES:
        if not file.name.startswith("__"):
            places[file.name].append(str(file.parent))
    twice = {name: folders for name, folders in places.items() if len(folders) > 1}
    assert twice.keys() == SAME_FILE.keys(), twice


def test_no_folder_is_called_by_a_word_that_fits_every_folder() -> None:
    folders = {part for path in FILES for part in path.parts[:-1]}
    assert not folders & {"running", "utils", "helpers", "common", "misc"}


def test_git_tracks_no_symbolic_link() -> None:
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("no git repository, as in an unpacked archive")
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []
