"""Stages run in this process, in a folder with a params.yaml, so that torch's import is not timed with each."""

import contextlib
import functools
import io
import operator
import runpy
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def link_data(folder: Path) -> None:
    """Link the repository's data and profiles into a folder, as the stages expect them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "profiles"):
        (folder / name).symlink_to(ROOT / name)


def write_params(folder: Path, changes: Mapping[str, object]) -> None:
    """Write params.yaml into a folder: this repository's, with other values by dotted key, a mapping as it is."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        *sections, last = key.split(".")
        functools.reduce(operator.getitem, sections, values)[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def run_here(folder: Path, stage: str, **options: str | int) -> str:
    """Run one stage in a folder that holds a params.yaml; return its output. Raises RuntimeError if it failed."""
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    said, status = io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        _arguments([f"tasks.{stage}", *arguments]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            runpy.run_module(f"tasks.{stage}", run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
    if status:
        raise RuntimeError(f"the stage {stage} {' '.join(arguments)} ended with {status}: {said.getvalue()}")
    return said.getvalue()


@contextlib.contextmanager
def _arguments(values: list[str]) -> Generator[None]:
    before = sys.argv
    sys.argv = values
    try:
        yield
    finally:
        sys.argv = before
