"""Programs written in Python that start by their name alone, wherever their Python lies."""

import shlex
from pathlib import Path

# As pip writes them: a `#!` line can name neither a path with a space in it nor one of over 127 bytes. So sh reads the
# file first and starts Python, to which sh's lines are a string.
SCRIPT = """#!/bin/sh
'''exec' {command} "$0" "$@"
' '''
{code}"""


def write_program(path: Path, code: str, *, python: str | Path, options: tuple[str, ...] = ()) -> None:
    """Write a program that a Python, with these options, runs."""
    path.write_text(SCRIPT.format(command=shlex.join([str(python), *options]), code=code), encoding="utf-8")
    path.chmod(0o755)
