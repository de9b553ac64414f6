"""Starts commands of this interpreter's folder with the product's modules, and those of the tests, in reach."""

import os
import subprocess
import sys
from pathlib import Path

from stages import ROOT

HERE = Path(__file__).parent


def launched(*command: str, folder: Path) -> "subprocess.Popen[str]":
    """A command that runs in a folder; its output and its errors are read with `communicate`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    modules = os.pathsep.join(str(path) for path in (ROOT, HERE.parent, HERE))
    return subprocess.Popen(
        command,
        cwd=folder,
        env=kept | {"PATH": tools, "PYTHONPATH": modules},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
