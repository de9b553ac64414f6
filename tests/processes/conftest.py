"""One folder in which every stage ran in one process and, launched for real, in two; xdist keeps its tests together."""

from pathlib import Path

import pytest
from launching import HERE, launched
from plan import prepare
from stages import ROOT


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one/ and two/ with the results of each step by label, process-<rank>.json of both processes."""
    folder = tmp_path_factory.mktemp("processes")
    prepare(folder)
    file, script = str(ROOT / "hardware" / "cpu_2.yaml"), str(HERE / "together.py")
    done = launched("accelerate", "launch", "--config_file", file, script, str(folder), folder=folder)
    _, errors = done.communicate(timeout=400)
    assert done.returncode == 0, errors
    return folder
