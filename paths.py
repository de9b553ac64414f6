"""Folders shared by all runs of a repository, whichever copy of it a command runs in. Standard library only.

A flow with overrides runs in a git worktree and `dvc exp run --temp` in a folder below `.dvc/tmp/exps`; both are thrown
away. The registry belongs to the checkout they were made from, its home.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent
EXPERIMENTS = (".dvc", "tmp", "exps")
WORKTREES = (".dvc", "tmp", "flows")
"""Folders below a checkout in which DVC's experiments and the flows make temporary copies of it."""
PIPELINE = "dvc.yaml"
GIT_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX"),
)
"""Set by git for its hooks, and by users with a repository elsewhere."""
TRIAL = "DISTILFLOW_TRIAL"
"""Set by `flows run --set` for its stages: the other values, in words. `register` then makes no versions."""
SQLITE = "sqlite:///"
OPENING = "opening.lock"
"""File in `lock_folder`, held while a store is opened: two processes that create its tables at once both fail."""


def home(root: Path = ROOT) -> Path:
    """The checkout that a copy of the repository was made from; the folder itself if it is not a copy.

    A worktree that a person made of a clone is a copy, too. One of a bare repository is its own home: there is no other
    checkout (and none that git knows of a repository made with --separate-git-dir).
    """
    above = _made_in(root)
    if above is not None:
        return home(above)
    pointer = root / ".git"
    if pointer.is_file():  # of a worktree: "gitdir: <home>/.git/worktrees/<name>"
        git_folder = Path(pointer.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
        if not git_folder.is_absolute():
            git_folder = (root / git_folder).resolve()
        if git_folder.parent.name == "worktrees" and git_folder.parent.parent.name == ".git":
            above = git_folder.parents[2]
            # A bare repository may be named .git; beside it is no checkout.
            return above if (above / PIPELINE).is_file() else root
    return root


def is_thrown_away(path: Path) -> bool:
    """Return whether a path lies in a temporary copy of a checkout."""
    return _made_in(path) is not None


def _made_in(path: Path) -> Path | None:
    """The innermost checkout in whose EXPERIMENTS or WORKTREES a path lies."""
    parts = path.parts
    for end in range(len(parts) - len(WORKTREES), 0, -1):
        if parts[end : end + len(WORKTREES)] in (EXPERIMENTS, WORKTREES):
            return Path(*parts[:end])
    return None


def git_environment() -> dict[str, str]:
    """This process's environment without variables that point git at another repository."""
    return {key: value for key, value in os.environ.items() if key not in GIT_VARIABLES}


def registry_folder(root: Path = ROOT) -> Path:
    """Folder of the embedded registry: MLflow's database and its artifacts."""
    return home(root) / "outputs" / "mlflow"


def embedded_address(root: Path = ROOT) -> str:
    """MLflow's address of the embedded registry, absolute, hence the same from every folder."""
    return f"{SQLITE}{registry_folder(root) / 'mlflow.db'}"


def tracking_address(root: Path = ROOT) -> str:
    """MLFLOW_TRACKING_URI if it is set, else the embedded registry's address; a SQLite file's is absolute either way."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or embedded_address(root)
    file = address.removeprefix(SQLITE)
    if not address.startswith(SQLITE) or not file or file.startswith("/"):
        return address
    return f"{SQLITE}{home(root) / file}"


def sqlite_path(address: str) -> Path | None:
    """The file of a SQLite address; None for any other."""
    return Path(address.removeprefix(SQLITE)) if address.startswith(SQLITE) and len(address) > len(SQLITE) else None


def lock_folder(address: str) -> Path:
    """Folder of the lock files of a registry: beside a SQLite file, else the embedded registry's."""
    path = sqlite_path(address)
    return path.parent if path is not None else registry_folder()


def artifact_folder(address: str) -> Path:
    """Return the folder for the files of a database's new experiments.

    Never MLflow's own choice, ./mlruns of the current folder: that of a run with other values is removed after the run.
    """
    return lock_folder(address) / "artifacts"


def without_password(text: str) -> str:
    """Replace user and password in an address, or in the addresses of a text, by ***."""
    return re.sub(r"(?<=://)[^\s/]+@", "***@", text)
