"""One name for one thing: no class of the product is defined twice, no module's name is used twice but in a mirror."""

import ast
from collections import defaultdict
from pathlib import Path

from source_imports import ROOT, product_files

# A section of params.yaml is called as what it configures: a method's parameters as the method, a stage's as its subject.
SECTIONS = {"config/method_lists.py", "config/method_parameters.py", "config/mpdistil.py", "config/stages.py"}
# A method's mathematics, its training loop and its stage have one name: methods/meta_teacher.py, training/..., tasks/...
MIRRORED = {"methods", "training", "tasks"}


def test_no_class_is_defined_in_two_files() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in product_files():
        name = str(path.relative_to(ROOT))
        for node in [] if name in SECTIONS else ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name)
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_modules_of_one_name_are_a_method_its_loop_or_its_stage() -> None:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in product_files():
        if path.name not in ("__init__.py", "__main__.py"):
            found[path.name].append(path.relative_to(ROOT))
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert {name for name, paths in twice.items() if not {path.parts[0] for path in paths} <= MIRRORED} == set()
