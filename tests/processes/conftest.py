"""One folder in which every stage ran in one process and, launched for real, in two; xdist keeps its tests together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plan import prepare
from stages import ROOT

PYTHON = Path(sys.executable)


def launched(*command: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a command of this interpreter's folder, with the product's modules in reach."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    path = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(
        command,
        cwd=folder,
        env=kept | {"PATH": path, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one/ and two/ with the results of each step by label, process-<rank>.json of both processes."""
    folder = tmp_path_factory.mktemp("processes")
    prepare(folder)
    file, script = str(ROOT / "hardware" / "cpu_2.yaml"), str(Path(__file__).parent / "together.py")
    done = launched("accelerate", "launch", "--config_file", file, script, str(folder), folder=folder)
    _, errors = done.communicate(timeout=400)
    assert done.returncode == 0, errors
    return folder
