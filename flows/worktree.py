"""A run with another profile or other values, in a temporary git worktree; the user's params.yaml is not changed.

The worktree lies in .dvc/tmp/flows/ID: the current commit, over it what is not committed, and over that the params file
of the run. It shares DVC's cache, so what is unchanged is there at once, and what it computes is there for others. It
is removed at the end; its report and metrics stay in outputs/runs/ID.
"""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from flows.checkouts import check_repository, fill
from flows.graph import Statuses, of_workspace
from flows.overrides import params_text
from flows.run_results import keep_results, results_folder
from flows.signal_handlers import sigterm_as_exit
from flows.slots import claim, release


@contextmanager
def overridden(
    root: Path,
    profile: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    keep: bool = True,
    restore: bool = True,
    statuses: Statuses = of_workspace,
) -> Generator[Path]:
    """The root of a checkout with these values: `root` itself without overrides, else a worktree.

    Args:
        root: of the repository; neither it nor its params.yaml is changed.
        profile: a whole params file to use instead of params.yaml.
        overrides: single values over it.
        keep: copy report and metrics at the end to `kept_at` of what is given.
        statuses: of the outputs in the checkout, by which it is known at the end what is up to date.
        restore: put outputs that are up to date in place; without it DVC finds them missing, and in its cache.

    Raises UserError before anything is made if the values can't be used.
    """
    root = root.absolute()
    if profile is None and not overrides:
        yield root
        return
    text = params_text(root, profile, overrides)
    check_repository(root)
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:4]}"
    with sigterm_as_exit():
        folder = claim(root, name)
        try:
            tree = fill(folder, root, text, restore=restore)
            try:
                yield tree
            finally:
                if keep and not isinstance(sys.exception(), KeyboardInterrupt | SystemExit):
                    keep_results(tree, results_folder(root, name), statuses)
        finally:
            release(root, folder)


def kept_at(root: Path, tree: Path) -> Path | None:
    """The folder in `root` for the results of a run in `tree`; None if they stay in place."""
    return None if tree == root.absolute() else results_folder(root.absolute(), tree.name)
