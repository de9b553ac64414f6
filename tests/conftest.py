"""What all tests share: one thread, no network, and where the real rows are."""

import os
from pathlib import Path

import pytest

# Before torch is imported anywhere: threads change the last bits, and several workers share the machine.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DVC_NO_ANALYTICS"] = "1"
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real rows; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("DISTILFLOW_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "superglue").is_dir():
        pytest.skip(f"no real rows in {folder}: set DISTILFLOW_SHARED to a folder that holds data/superglue")
    return folder.resolve()
