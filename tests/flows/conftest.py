"""Fixtures of the flows' tests: no server and no registry is used but those that a test starts."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "pipeline"))

# Before prefect is imported anywhere. It reads `.env` of the working directory, too.
os.environ["PREFECT_API_URL"] = ""
# That of the tests' servers; whoever asks them finds it here, too.
os.environ["PREFECT_API_AUTH_STRING"] = os.environ["PREFECT_SERVER_API_AUTH_STRING"] = "tester:of the tests"
os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"  # no server but those that a test starts

from prefect_server import api, first, server, sources, tiny  # noqa: E402

__all__ = ["api", "first", "server", "sources", "tiny"]


@pytest.fixture(autouse=True)
def no_registry_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A test that forgets to name a registry must not write into this checkout's."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    yield


def pytest_configure(config: pytest.Config) -> None:
    """DVC uses what a library of its own will drop; nothing of ours."""
    config.addinivalue_line("filterwarnings", "ignore:_NoneStep.value will soon raise:DeprecationWarning")
