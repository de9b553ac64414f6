"""Git commands, with git's message in the error."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from errors import UserError
from paths import git_environment


def git(root: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run git in `root` and return what it prints. Raises UserError with git's words if it fails.

    Args:
        root: the folder.
        arguments: of git.
        environment: variables beside those of this process.
    """
    command = ["git", "-C", str(root), *arguments]
    whole = git_environment() | {"LC_ALL": "C"} | dict(environment or {})  # callers search its messages
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=whole)
    except FileNotFoundError:
        raise UserError(
            "git is not installed, and a profile or other values run in a git worktree; install it, or change params.yaml"
        ) from None
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise UserError(f"git {arguments[0]} failed in {root}: {words}")
    return done.stdout
