"""The run's tree as a commit without parents, in one file on the remote: the same content is the same commit anywhere.

A worker needs the remote's key and no git server. Nothing of the user's is touched: neither index, branches nor objects.
"""

import os
import shutil
import tempfile
from pathlib import Path

from errors import UserError
from flows.dvc_adapter.remote_files import RemoteFiles
from flows.git import git
from flows.slots import guarded

REF = "refs/heads/snapshot"
# Of all snapshots, so that their names depend on nothing but the files.
PERSON = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "distilflow", "EMAIL": "distilflow@localhost", "DATE": "1970-01-01T00:00:00Z"}.items()
}


def publish(root: Path, files: RemoteFiles) -> str:
    """Put what is in `root` and not ignored by git on the remote, changes that are not committed included; the commit."""
    with tempfile.TemporaryDirectory(prefix="snapshot-") as name:
        folder = Path(name)
        environment = _own_repository(root, folder)
        commit = _commit(root, environment)
        if not files.exists(_file(commit)):
            bundle = folder / "bundle"
            git(folder / "git", "update-ref", REF, commit, environment=environment)
            git(folder / "git", "bundle", "create", "--quiet", str(bundle), REF, environment=environment)
            files.write(_file(commit), bundle.read_bytes())
    return commit


def files_in(root: Path) -> set[str]:
    """Paths that a snapshot of `root` holds, relative to it; links are left out, as they lead elsewhere on a worker."""
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return {name for name in listed.split("\0") if name and not (root / name).is_symlink()}


def fetch(root: Path, commit: str, files: RemoteFiles) -> None:
    """Bring a snapshot into the git repository of `root`, unless it is there. Raises UserError if the remote has none."""
    with guarded(root):
        if _has(root, commit):
            return
        with tempfile.TemporaryDirectory(prefix="snapshot-") as name:
            bundle = Path(name, "bundle")
            if not files.download(_file(commit), bundle):
                raise UserError(
                    f"{files.address}: no snapshot {commit}; is the worker's DVC remote the one of the run that sent the stage?"
                )
            git(root, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(bundle), REF)
        if not _has(root, commit):
            raise UserError(f"{files.address}/{_file(commit)}: holds another commit than its name says")


def check_out(root: Path, commit: str, tree: Path) -> None:
    """Make a worktree of a snapshot."""
    git(root, "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--detach", str(tree), commit)


def _file(commit: str) -> str:
    return f"snapshots/{commit}.bundle"


def _own_repository(root: Path, folder: Path) -> dict[str, str]:
    """A repository in `folder` that knows the objects of the user's, and an index of its own."""
    git(root, "init", "--quiet", "--bare", str(folder / "git"))
    objects = Path(git(root, "rev-parse", "--git-path", "objects").rstrip("\n"))
    index = Path(git(root, "rev-parse", "--git-path", "index").rstrip("\n"))
    if (root / index).is_file():
        shutil.copy2(root / index, folder / "index")  # so that git need not read files that are as they were
    return PERSON | {
        "GIT_INDEX_FILE": str(folder / "index"),
        "GIT_OBJECT_DIRECTORY": str(folder / "git" / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str((root / objects).resolve()),
    }


def _commit(root: Path, environment: dict[str, str]) -> str:
    git(root, "-c", "core.safecrlf=false", "add", "--all", "--", ".", environment=environment)
    # It changes with each stage that ends, and a worker writes its own.
    git(root, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", "dvc.lock", environment=environment)
    inner = git(root, "rev-parse", "--show-prefix").rstrip("\n")
    prefix = [f"--prefix={inner}"] if inner else []
    tree = git(root, "write-tree", *prefix, environment=environment).strip()
    message = "The tree of a run over several machines"
    return git(root, "-c", "commit.gpgsign=false", "commit-tree", tree, "-m", message, environment=environment).strip()


def _has(root: Path, commit: str) -> bool:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{tree}}")
    except UserError:
        return False
    return True
