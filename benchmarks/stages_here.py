"""Stages run in this process, so that a benchmark imports torch once and times what comes after that."""

import contextlib
import io
import runpy
import sys
from collections.abc import Generator
from pathlib import Path


def run_here(folder: Path, stage: str, **options: str | int) -> str:
    """Run one stage in a folder that holds a params.yaml; what it printed. RuntimeError if it did not succeed."""
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
