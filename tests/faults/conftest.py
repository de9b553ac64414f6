"""Every stage run once, shared by all tests of this folder; xdist keeps them in one process by their group."""

from pathlib import Path

import pytest
from made_pipeline import Made, copied, make


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The place that nobody spoils."""
    return make(tmp_path_factory.mktemp("faults") / "a place")


@pytest.fixture
def made(made_once: Made, tmp_path: Path) -> Made:
    """A copy that a test may spoil."""
    return copied(made_once, tmp_path / "a place")
