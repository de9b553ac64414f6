"""Garbage is looked for seldom while a stage is imported, and as usual when it works or is imported by others."""

import subprocess
import sys
from pathlib import Path

from stages import ROOT

from tasks.runtime.gc_during_import import SELDOM, USUAL

STARTED = """
import gc, sys
sys.argv[0] = {found!r}
import tasks
print(*gc.get_threshold())
from tasks.runtime import gc_during_import
gc_during_import.as_usual()
print(*gc.get_threshold(), gc.get_freeze_count() > 0)
"""


def lines(code: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.splitlines()


def words(*values: object) -> str:
    return " ".join(map(str, values))


def test_while_python_looks_for_a_stage_it_is_put_off_and_taken_up_for_the_work() -> None:
    assert lines(STARTED.format(found="-m")) == [words(*SELDOM), words(*USUAL, True)]


def test_who_imports_tasks_for_something_else_keeps_it_as_it_is() -> None:
    assert lines(STARTED.format(found="score.py")) == [words(*USUAL), words(*USUAL, False)]


def test_python_says_so_while_it_looks_for_a_module(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("import sys; print(sys.argv[0])")
    (tmp_path / "package/stage.py").write_text("import sys; print(sys.argv[0])")
    command = [sys.executable, "-m", "package.stage"]
    done = subprocess.run(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout.splitlines() == ["-m", str(tmp_path / "package/stage.py")]
