"""stage_code.py: the modules that a stage runs are found in the source, and looked up again only when one has changed."""

import json
from pathlib import Path

import pytest
from source_imports import ROOT

from errors import UserError
from stage_code import SourceTree, code_file, code_text

FILES = {
    "tasks/__init__.py": "import seeds\n",
    "tasks/split.py": "import torch\nfrom data import rows\n",
    "tasks/student.py": "def method():\n    from methods import finetune, layers\n",
    "data/__init__.py": '"""Only a docstring."""\n',
    "data/rows.py": "from data.errors import UserError\n",
    "data/errors.py": "class UserError(ValueError): ...\n",
    "methods/finetune.py": "import methods.layers\n",
    "methods/layers.py": "SIZE = 1\n",
    "seeds.py": "SEED = 0\n",
    "config/parameters.py": "from data import errors\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_stage_runs_what_it_imports_directly_or_not_wherever_the_import_stands(tree: Path) -> None:
    found = SourceTree(tree).modules_of("split")
    # The package's own code runs before the stage's; a package of a docstring alone has none.
    assert list(found) == ["data.errors", "data.rows", "seeds", "tasks.__init__", "tasks.split"]


def test_the_file_of_a_method_is_left_to_the_stage_of_that_method(tree: Path) -> None:
    assert set(SourceTree(tree).modules_of("student")) == {"methods.layers", "seeds", "tasks.__init__", "tasks.student"}


def test_what_a_changed_module_imports_now_is_found_and_nothing_is_parsed_where_none_changed(tree: Path) -> None:
    listed = tree / code_file("split")
    listed.parent.mkdir(parents=True)
    listed.write_text(code_text(SourceTree(tree).modules_of("split")))
    (tree / "config/parameters.py").write_text("not python (")  # read by no stage
    assert SourceTree(tree).modules_now("split") == json.loads(listed.read_text())
    (tree / "data/errors.py").write_text("from methods import layers\n")
    assert "methods.layers" in SourceTree(tree).modules_now("split")
    (tree / "data/errors.py").unlink()
    assert "data.errors" not in SourceTree(tree).modules_now("split")


def test_a_module_that_is_no_python_is_named_with_its_line(tree: Path) -> None:
    (tree / "data/rows.py").write_text("x = 1\ny = (\n")
    with pytest.raises(UserError, match=r"data/rows\.py: line 2: "):
        SourceTree(tree).modules_of("split")


def test_every_stage_s_modules_are_files_of_this_repository_and_its_own_is_among_them() -> None:
    source = SourceTree(ROOT)
    for stage in source.stages():
        modules = source.modules_of(stage)
        assert f"tasks.{stage}" in modules
        assert all(ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file() for name in modules)
