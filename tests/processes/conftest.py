"""One folder in which every stage ran in one process and, launched for real, in two; xdist keeps its tests together."""

from pathlib import Path

import pytest
from launching import HERE, launched
from plan import prepare
from stages import ROOT


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one/ and two/ with the results of each step by label, two-<rank>.json of both processes."""
    folder = tmp_path_factory.mktemp("processes")
    prepare(folder)
    launch_plan(folder, "cpu_2", "two")
    return folder


@pytest.fixture(scope="session")
def ran_in_parts(ran: Path) -> Path:
    """The same folder, with parts/ and parts-<rank>.json: two processes that split the parameters."""
    launch_plan(ran, "fsdp_cpu_2", "parts")
    return ran


def launch_plan(folder: Path, hardware: str, name: str) -> None:
    """Run the steps of a plan on the hardware of a file."""
    file, script = str(ROOT / "hardware" / f"{hardware}.yaml"), str(HERE / "together.py")
    done = launched("accelerate", "launch", "--config_file", file, script, str(folder), name, folder=folder)
    _, errors = done.communicate(timeout=400)
    assert done.returncode == 0, errors
