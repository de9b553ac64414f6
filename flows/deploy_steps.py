"""Steps around a run in a throw-away container: a check, a pull before it, a push after it.

    python -m flows.deploy_steps check     when deploying: is it known where to clone from and where to register?
    python -m flows.deploy_steps pull      what dvc.lock names, and what ran elsewhere, from the default remote
    python -m flows.deploy_steps push      what the stages here wrote, to the default remote
    python -m flows.deploy_steps vet       after a `dvc pull --run-cache`: remove what is not true from DVC's cache

dvc.lock of the clone is thrown away with it. What remains is DVC's run cache: by it the next clone finds what already
ran. `dvc pull --run-cache` copies all of it, believes it (docs/security.md), and fetches no file that
it tells of; flows/run_cache.py fetches what the stages here ask for. A repository without a default remote lives on the
cache volume of its machine; pull and push then say so and are content. A remote that fails is an error: without it
everything would run again, and nobody would have asked for that.
"""

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from errors import UserError
from flows import run_cache
from flows.dvc_adapter.repository import open_repository

PUSH = "DISTILFLOW_PUSH"
# Set by whoever deploys: a container has no checkout to ask, and a registry inside of it would be thrown away.
NEEDED = {
    "DISTILFLOW_REPOSITORY": "the address that the container clones from",
    "DISTILFLOW_REF": "the branch or tag that it clones",
    "MLFLOW_TRACKING_URI": "the MLflow server that the container can reach",
}


def main(arguments: list[str]) -> int:
    """Run one step and return the exit status."""
    try:
        match arguments:
            case ["check"]:
                check(os.environ)
            case ["pull" | "push" as step]:
                print(transfer(step, Path.cwd()))
            case ["vet"]:
                print("\n".join(vet(Path.cwd())) or "Nothing in DVC's cache is other than its name promises.")
            case _:
                raise UserError(f"{' '.join(arguments) or 'no step'}: not known; steps are check, pull, push, vet")
    except UserError as error:
        print(f"python -m flows.deploy_steps: {error}", file=sys.stderr)
        return 2
    return 0


def check(environment: Mapping[str, str]) -> None:
    """Raise UserError naming the missing variables of a container's deployment."""
    missing = [f"{name} ({what})" for name, what in NEEDED.items() if not environment.get(name, "").strip()]
    if missing:
        raise UserError(
            f"not set: {', '.join(missing)}. The container deployment needs them when it is deployed; "
            "`prefect deploy --name desk` deploys the other one alone"
        )


def push_wanted() -> bool:
    """Return whether DISTILFLOW_PUSH requests a push after a run. Raises UserError for an invalid value."""
    text = os.environ.get(PUSH, "").strip().lower()
    if text not in ("", "0", "1", "false", "true"):
        raise UserError(f"{PUSH}={text}: not allowed; true or false")
    return text in ("1", "true")


def transfer(step: str, root: Path, names: Collection[str] | None = None) -> str:
    """`pull` from the default remote, or `push` the outputs of these stages (None: all); return a line about it."""
    remote = None
    try:
        with open_repository(root) as repo:
            remote = repo.default_remote
            if remote is None:
                return f"No default DVC remote: nothing to {step}. DVC's cache on this machine is all that remains of a run."
            if step == "push":
                return f"dvc push to {remote!r}: done; new entries of the record of runs: {run_cache.push(repo, names)}"
            result = run_cache.pull(repo)
    except (UserError, OSError) as error:
        if remote is None:
            raise
        raise UserError(f"dvc {step} with the remote {remote!r} failed:\n{error}") from None
    refused = "".join(f"\nnot taken, it is not what its name promises: {path}" for path in result.refused)
    return f"dvc pull from {remote!r}: done; stages that ran before: {result.restored}{refused}"


def vet(root: Path) -> list[str]:
    """Remove objects from DVC's cache whose content contradicts their name; one line each."""
    with open_repository(root) as repo:
        forged = run_cache.remove_forged(repo.cache)
    return [f"removed, it is not what its name promises: {path}" for path in forged]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
