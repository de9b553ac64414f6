"""Git commands, with git's message in the error."""

import subprocess
from pathlib import Path

from errors import UserError
from paths import git_environment


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return its output. Raises UserError with git's message if it fails."""
    command = ["git", "-C", str(root), *arguments]
    environment = git_environment() | {"LC_ALL": "C"}  # callers search its messages
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise UserError(
            "git is not installed, and a profile or other values run in a git worktree; install it, or change params.yaml"
        ) from None
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise UserError(f"git {arguments[0]} failed in {root}: {words}")
    return done.stdout
