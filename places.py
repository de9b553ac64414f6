"""Where what all runs of a repository share lies, whichever copy of it a command runs in. Standard library only.

A flow with overrides runs in a git worktree and `dvc exp run --temp` in a folder below `.dvc/tmp/exps`; both are thrown
away. The registry belongs to the checkout they were made from, its home.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent
EXPERIMENTS = (".dvc", "tmp", "exps")
SQLITE = "sqlite:///"
OPENING = "opening.lock"
"""In `lock_folder`: held by whoever opens a store, since two that make its tables at once both fail."""


def home(root: Path = ROOT) -> Path:
    """The checkout that a copy of the repository was made from; the folder itself where it is no such copy."""
    parts = root.parts
    for end in range(len(parts) - len(EXPERIMENTS), 0, -1):
        if parts[end : end + len(EXPERIMENTS)] == EXPERIMENTS:
            return home(Path(*parts[:end]))
    pointer = root / ".git"
    if pointer.is_file():  # of a worktree: "gitdir: <home>/.git/worktrees/<name>"
        git_folder = Path(pointer.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
        if not git_folder.is_absolute():
            git_folder = (root / git_folder).resolve()
        if git_folder.parent.name == "worktrees" and git_folder.parent.parent.name == ".git":
            return git_folder.parents[2]
    return root


def registry_folder(root: Path = ROOT) -> Path:
    """Folder of the embedded registry: MLflow's database and its artifacts."""
    return home(root) / "outputs" / "mlflow"


def embedded_address(root: Path = ROOT) -> str:
    """MLflow's address of the embedded registry: absolute, so that it is the same from every folder."""
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


def without_password(text: str) -> str:
    """An address, or a text with addresses in it, as it may be shown: a user and password before the host as ***."""
    return re.sub(r"(?<=://)[^\s/]+@", "***@", text)
