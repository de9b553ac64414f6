"""Setting of all tests: one thread, no network, no settings of the person who runs them, any order; the real rows."""

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = ("GIT_EXEC_PATH", "DISTILFLOW_SHARED")
# Settings of programs that tests run, of a hook or launcher that pytest may have been started by, of the terminal.
FOREIGN = (
    *("ACCELERATE_", "DISTILFLOW_", "DVC_", "GIT_", "HF_", "MLFLOW_", "PREFECT_", "TRANSFORMERS_"),
    *("LOCAL_RANK", "MASTER_", "MKL_", "RANK", "WORLD_SIZE"),
    *("CLICOLOR", "COLUMNS", "FORCE_COLOR", "LINES"),
)
WORKER = "PYTEST_XDIST_WORKER"


def settings_of_tests(folder: Path) -> dict[str, str]:
    """The environment in which every program is as it comes, with a folder for what it keeps for a user."""
    for name in ("dvc", "huggingface", "prefect", "tmp"):
        (folder / name).mkdir()
    # A checkout may belong to another user than the one who runs the tests.
    (folder / "gitconfig").write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
    # DVC would keep a folder for every repository of a test in /var/tmp.
    (folder / "dvc" / "config").write_text(
        f"[core]\n    site_cache_dir = {folder / 'dvc' / 'site'}\n", encoding="utf-8"
    )
    local = "127.0.0.1,localhost"
    proxied = {
        name: f"{os.environ[name]},{local}" if os.environ.get(name) else local for name in ("no_proxy", "NO_PROXY")
    }
    return proxied | {
        "CUDA_VISIBLE_DEVICES": "",
        "DO_NOT_TRACK": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "dvc"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SYSTEM_CONFIG_DIR": str(folder / "none"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HF_HOME": str(folder / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",  # threads change the last bits, and several workers share the machine
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PYTEST_DEBUG_TEMPROOT": tempfile.gettempdir(),  # pytest's own stays, to look into after a failure
        "PYTHONUTF8": "1",
        "TMPDIR": str(folder / "tmp"),
    }


# Before torch, DVC or Prefect is imported anywhere. xdist's workers inherit what their parent has set.
OWN = None if WORKER in os.environ else Path(tempfile.mkdtemp(prefix="distilflow-tests-"))
if OWN is not None:
    for key in [key for key in os.environ if key.startswith(FOREIGN) and key not in KEPT]:
        del os.environ[key]
    os.environ.update(settings_of_tests(OWN))
    tempfile.tempdir = os.environ["TMPDIR"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the order be chosen."""
    text = "run the files, and the tests of each, in an order that this number gives"
    parser.addoption("--shuffle", type=int, metavar="SEED", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle, if told to. A file's tests stay together: what they share is made once."""
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    drawn = random.Random(seed)
    files = {path: drawn.random() for path in sorted({item.path for item in items})}
    items.sort(key=lambda item: (files[item.path], drawn.random()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test, and what is made for it, with the same random numbers, whatever ran before."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what programs kept."""
    if OWN is not None:
        shutil.rmtree(OWN, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real rows; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("DISTILFLOW_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "superglue").is_dir():
        pytest.skip(f"no real rows in {folder}: set DISTILFLOW_SHARED to a folder that holds data/superglue")
    return folder.resolve()
