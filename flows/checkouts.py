"""A second checkout of the repository in its present state, with other parameters and a shared DVC cache."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from errors import UserError
from flows import run_cache
from flows.dvc_adapter.repository import check_repository as check_dvc_repository
from flows.dvc_adapter.repository import open_repository, share_cache, warnings_hidden
from flows.git import git
from flows.run_results import REPORT
from strict_yaml import StrictLoader

OUTSIDE = ".outside"


def fill(slot: Path, root: Path, params: str, *, restore: bool) -> Path:
    """Create the checkout in an empty folder and return its root.

    It holds the current commit, over it all that is changed or new in `root` and not ignored by git, `params` as
    params.yaml, links to the data that the parameters name, and, if told to `restore`, what dvc.lock names from DVC's
    cache. Where `root` is a folder of a larger git repository, only that folder of it is checked out.
    """
    data = _data_paths(root, params)
    inner = Path(git(root, "rev-parse", "--show-prefix").rstrip("\n"))
    up = max((path.parts.count("..") for path in data), default=0) - len(inner.parts)
    top = slot.joinpath(*[OUTSIDE] * up, slot.name)
    top.parent.mkdir(parents=True, exist_ok=True)
    # Without hooks: that of `dvc install` would check out with the parameters of the commit.
    without_hooks = ("-c", f"core.hooksPath={os.devnull}")
    git(root, *without_hooks, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(top), "HEAD")
    git(top, *without_hooks, "checkout", "--quiet", "HEAD", "--", f"{inner}/")
    tree = top / inner
    _carry_changes(root, tree, links=_link_data(root, tree, data))
    (tree / "params.yaml").write_text(params, encoding="utf-8")
    share_cache(root, tree)
    if restore:
        _restore(tree)
    return tree


def check_repository(root: Path) -> None:
    """Raise UserError unless `root` can be checked out: a DVC repository in a git repository with a commit of it."""
    try:
        git(root, "rev-parse", "--git-dir")
    except UserError as error:
        raise UserError(_why_no_repository(root, str(error))) from None
    try:
        git(root, "cat-file", "-e", "HEAD:./dvc.yaml")
    except UserError:
        raise UserError(
            f"{root}: no commit of its git repository holds dvc.yaml yet; a profile or other values run in a git worktree. "
            "`git add --all` and `git commit` once, or change params.yaml"
        ) from None
    check_dvc_repository(root)


def _why_no_repository(root: Path, words: str) -> str:
    """Explain a refusal of git, with the way out."""
    if found := re.search(r"dubious ownership in repository at '(.*?)'", words):
        return (
            f"{root}: git does not trust this repository, because it belongs to another user; if you do: "
            f"`git config --global --add safe.directory {shlex.quote(found[1])}`"
        )
    if "not a git repository" in words and (root / ".git").is_file():
        pointer = (root / ".git").read_text(encoding="utf-8").strip()
        return (
            f"{root}: a worktree whose repository is gone ({pointer}); if that was moved, run "
            f"`git worktree repair {shlex.quote(str(root))}` in it"
        )
    if "not a git repository" in words:
        return (
            f"{root}: no git repository; a profile or other values run in a git worktree. `git init`, `git add --all` and "
            "`git commit` once, or change params.yaml"
        )
    return words


def _data_paths(root: Path, params: str) -> list[Path]:
    """Existing relative paths among the parameters, shortest first; `a/{dataset}` counts as `a`."""
    found: set[Path] = set()
    for text in _texts(yaml.load(params, Loader=StrictLoader)):  # noqa: S506 (a safe loader)
        path = Path(os.path.normpath(text.split("{")[0]))
        if text.strip() and not path.is_absolute() and path != Path() and (root / path).exists():
            found.add(path)
    return sorted(found, key=lambda path: (len(path.parts), path))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _link_data(root: Path, tree: Path, paths: list[Path]) -> set[Path]:
    """Link data that git does not carry at the same relative paths; return the links."""
    links: set[Path] = set()
    for path in paths:
        place = Path(os.path.normpath(tree / path))
        if not place.exists() and path != Path(".."):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((root / path).resolve())
            links.add(place)
    return links


def _carry_changes(root: Path, tree: Path, *, links: set[Path]) -> None:
    """Copy uncommitted changes: changed and new files, without deleted and ignored ones."""
    changed = git(root, "diff", "--name-only", "--no-renames", "--relative", "-z", "HEAD")
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    for name in filter(None, (changed + new).split("\0")):
        source, target = root / name, tree / name
        if links.intersection((target, *target.parents)) or (source.is_dir() and not source.is_symlink()):
            continue
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if os.path.lexists(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _restore(tree: Path) -> None:
    """Check out the outputs in dvc.lock, as far as the cache has them.

    Not the report: what is kept of a run at its end must be its own, and DVC's run cache has that of an earlier one.
    """
    with warnings_hidden(), open_repository(tree) as repo:  # of each stage that has never run
        run_cache.check_out(repo)
    shutil.rmtree(tree / REPORT, ignore_errors=True)
