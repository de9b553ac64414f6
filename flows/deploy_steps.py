"""What surrounds a run in a container that is thrown away: a check, `dvc pull` before it, `dvc push` after it.

    python -m flows.deploy_steps check     when deploying: is it known where to clone from and where to register?
    python -m flows.deploy_steps pull      what dvc.lock names, and what ran elsewhere, from the default remote
    python -m flows.deploy_steps push      everything that ran here, to the default remote

dvc.lock of the clone is thrown away with it. What remains is DVC's record of runs: by it the next clone finds what
already ran. `dvc pull --run-cache` alone fetches that record without the files that it tells of; this fetches the files
that the stages here ask for. A repository without a default remote lives on the cache volume of its machine; both
commands then say so and are content. A remote that fails is an error: without it everything would run again, and nobody
would have asked for that.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from flows.errors import FlowError
from flows.settings import stage_environment
from flows.workspace import dvc_repository

PUSH = "DISTILFLOW_PUSH"
# Set by whoever deploys: a container has no checkout to ask, and a registry inside of it would be thrown away.
NEEDED = {
    "DISTILFLOW_REPOSITORY": "the address that the container clones from",
    "DISTILFLOW_REF": "the branch or tag that it clones",
    "MLFLOW_TRACKING_URI": "the MLflow server that the container can reach",
}
# Some outputs may never have been pushed: their stages run again.
PULL = ("pull", "--allow-missing", "--force")
PUSH_ALL = ("push", "--run-cache")


def main(arguments: list[str]) -> int:
    """Do one step; the exit status."""
    try:
        match arguments:
            case ["check"]:
                check(os.environ)
            case ["pull" | "push" as step]:
                print(transfer(step, Path.cwd()))
            case _:
                raise FlowError(f"{' '.join(arguments) or 'no step'}: not known; steps are check, pull, push")
    except FlowError as error:
        print(f"python -m flows.deploy_steps: {error}", file=sys.stderr)
        return 2
    return 0


def check(environment: Mapping[str, str]) -> None:
    """Raise FlowError naming every variable that a container's deployment needs and does not have."""
    missing = [f"{name} ({what})" for name, what in NEEDED.items() if not environment.get(name, "").strip()]
    if missing:
        raise FlowError(
            f"not set: {', '.join(missing)}. The container deployment needs them when it is deployed; "
            "`prefect deploy --name desk` deploys the other one alone"
        )


def push_wanted() -> bool:
    """Whether DISTILFLOW_PUSH says that a run ends with a push. Raises FlowError if it says neither yes nor no."""
    text = os.environ.get(PUSH, "").strip().lower()
    if text not in ("", "0", "1", "false", "true"):
        raise FlowError(f"{PUSH}={text}: not allowed; true or false")
    return text in ("1", "true")


def transfer(step: str, root: Path) -> str:
    """`pull` from the default remote or `push` to it, and a line that says what was done."""
    remote = default_remote(root)
    if remote is None:
        return f"No default DVC remote: nothing to {step}. DVC's cache on this machine is all that remains of a run."
    if step == "push":
        return f"dvc push to {remote!r}: {_dvc(PUSH_ALL, remote, root)}"
    said = _dvc(PULL, remote, root)
    return f"dvc pull from {remote!r}: {said}; stages that ran before: {restore(root)}"


def restore(root: Path) -> int:
    """Check out the outputs of stages that ran elsewhere with the same inputs; how many stages that are."""
    import networkx
    from dvc.stage.cache import RunCacheNotFoundError, RunCacheNotSupported

    with dvc_repository(root) as repo:
        with contextlib.suppress(RunCacheNotSupported):  # some kinds of remotes hold no record of runs
            repo.stage_cache.pull(None)
        graph, missing = repo.index.graph, set()
        for stage in reversed(list(networkx.topological_sort(graph))):
            try:
                if missing.isdisjoint(graph.successors(stage)):
                    repo.stage_cache.restore(stage, pull=True)
                else:
                    missing.add(stage)
            except RunCacheNotFoundError:
                missing.add(stage)
        return len(graph) - len(missing)


def _dvc(arguments: tuple[str, ...], remote: str, root: Path) -> str:
    """Run DVC; its last line. Raises FlowError with its last lines if it fails."""
    # -P: `dvc` must not find this repository's folders (data, models ...) before its own libraries.
    command = [sys.executable, "-P", "-m", "dvc", *arguments]
    done = subprocess.run(
        command, cwd=root, env=stage_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = [line for line in done.stdout.replace("\r", "\n").splitlines() if line.strip()]
    if done.returncode != 0:
        raise FlowError(f"dvc {arguments[0]} with the remote {remote!r} failed:\n" + "\n".join(lines[-30:]))
    return lines[-1] if lines else "done"


def default_remote(root: Path) -> str | None:
    """Name of DVC's default remote, if there is one."""
    with dvc_repository(root) as repo:
        name = repo.config["core"].get("remote")
    return name or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
