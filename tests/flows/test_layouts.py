"""Ways to lay out a checkout: what runs with other values there, and what is told with a way out that works."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from errors import UserError
from flows.checkouts import check_repository
from flows.git import git
from flows.graph import read_graph
from flows.slots import SLOTS, guarded
from flows.worktree import overridden
from paths import home, is_thrown_away

METRICS = Path("outputs", "evaluate", "left", "finetune", "42", "metrics.json")


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A small pipeline in which nothing has run."""
    return make_tiny_pipeline(tmp_path_factory.mktemp("layouts") / "tiny")


@pytest.fixture
def tiny(committed: TinyPipeline, tmp_path: Path) -> TinyPipeline:
    """A copy to work in."""
    return TinyPipeline(Path(shutil.copytree(committed.root, tmp_path / "outer" / "tiny", symlinks=True)))


def test_a_folder_that_is_no_git_repository_is_told_what_it_lacks(tiny: TinyPipeline) -> None:
    shutil.rmtree(tiny.root / ".git")
    with pytest.raises(UserError, match=r"no git repository; .* `git init`, `git add --all` and `git commit` once"):
        check_repository(tiny.root)
    assert tiny.run("git", "init", "--quiet").returncode == 0
    with pytest.raises(UserError, match=r"no commit of its git repository holds dvc.yaml yet"):
        check_repository(tiny.root)
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    assert tiny.run("git", "add", "--all").returncode == 0
    assert tiny.run("git", *identity, "commit", "--quiet", "--message", "start").returncode == 0
    check_repository(tiny.root)


def test_an_unpacked_archive_is_told_both_ways_out_and_they_work(tiny: TinyPipeline) -> None:
    shutil.rmtree(tiny.root / ".git")
    with pytest.raises(UserError, match=r"`git init` makes it one; .*`dvc config --local core.no_scm true`"):
        read_graph(tiny.root)
    tiny.dvc("config", "--local", "core.no_scm", "true")
    assert "teacher@left-42" in read_graph(tiny.root).nodes
    (tiny.root / ".dvc" / "config.local").unlink()
    assert tiny.run("git", "init", "--quiet").returncode == 0
    assert "teacher@left-42" in read_graph(tiny.root).nodes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_of_another_user_is_told_git_s_own_way_out(
    tiny: TinyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A person's git, not that of the tests, which trusts every repository; its command writes this file.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for path in (tiny.root, *tiny.root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(UserError, match="belongs to another user; if you do: `git config") as caught:
        check_repository(tiny.root)
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True)
    check_repository(tiny.root)


def test_a_worktree_whose_repository_was_moved_is_told_how_to_repair_it(tiny: TinyPipeline, tmp_path: Path) -> None:
    worktree = tmp_path / "a worktree"
    assert tiny.run("git", "worktree", "add", "--quiet", "--detach", str(worktree)).returncode == 0
    moved = tiny.root.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="a worktree whose repository is gone") as caught:
        check_repository(worktree)
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True, cwd=moved)
    check_repository(worktree)


def values_elsewhere(root: Path, *, run: bool = False) -> None:
    """Make a checkout with another value, look whose it is and what it holds, `run` a stage in it, and that nothing stays."""
    checkout = TinyPipeline(root)
    (root / "new file").write_text("new")
    checkout.script("evaluate", (root / "scripts" / "evaluate").read_text() + "echo changed > outputs/changed")
    with overridden(root, None, ["teacher.epochs=5"]) as tree:
        assert home(tree) == root
        assert is_thrown_away(tree)
        assert (tree / "new file").read_text() == "new"
        assert "changed" in (tree / "scripts" / "evaluate").read_text()
        if run:
            TinyPipeline(tree).dvc("repro", "evaluate@left-finetune-42")
            assert json.loads((tree / METRICS).read_text()) == {"epochs": 5}
    assert "/.dvc/tmp/" not in checkout.run("git", "worktree", "list").stdout
    assert sorted(path.name for path in (root / SLOTS).rglob("*")) == [".guard", "processes"]


def cloned(tiny: TinyPipeline, *options: str) -> None:
    done = tiny.run("git", "clone", "--quiet", *options)
    assert done.returncode == 0, done.stderr


def test_in_a_worktree_of_a_bare_repository(tiny: TinyPipeline, tmp_path: Path) -> None:
    for name in ("repository.git", "project/.git"):
        cloned(tiny, "--bare", str(tiny.root), str(tmp_path / name))
        worktree = tmp_path / name / ".." / "main"
        done = tiny.run("git", "-C", str(tmp_path / name), "worktree", "add", "--quiet", "--detach", str(worktree))
        assert done.returncode == 0, done.stderr
        assert home(worktree.resolve()) == worktree.resolve()
        values_elsewhere(worktree.resolve())


def test_in_a_clone_whose_git_folder_is_elsewhere(tiny: TinyPipeline, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    cloned(tiny, "--separate-git-dir", str(tmp_path / "elsewhere"), str(tiny.root), str(root))
    assert home(root) == root
    values_elsewhere(root)


def test_in_a_folder_of_a_larger_repository_of_which_nothing_else_is_checked_out(
    tiny: TinyPipeline, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    root = large / "some" / "where"
    shutil.copytree(tiny.root, root, symlinks=True, ignore=shutil.ignore_patterns(".git", "outputs"))
    (large / "other").mkdir()
    (large / "other" / "file").write_text("committed")
    repository = TinyPipeline(large)
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    for command in (("init",), ("add", "--all"), (*identity, "commit", "--message", "all")):
        assert repository.run("git", *command).returncode == 0
    (large / "other" / "file").write_text("changed, and nobody's business")
    with overridden(root, None, ["teacher.epochs=5"], restore=False) as tree:
        assert tree.parts[-2:] == ("some", "where")
        assert [path.name for path in tree.parents[1].iterdir() if path.name != ".git"] == ["some"]
    values_elsewhere(root, run=True)


def test_in_a_submodule(tiny: TinyPipeline, tmp_path: Path) -> None:
    outer = tmp_path / "large"
    assert tiny.run("git", "init", "--quiet", str(outer)).returncode == 0
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tiny.root), "inner")
    done = tiny.run("git", "-C", str(outer), *add)
    assert done.returncode == 0, done.stderr
    values_elsewhere(outer / "inner", run=True)


def test_where_git_s_variables_name_another_repository(
    tiny: TinyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloned(tiny, str(tiny.root), str(tmp_path / "other"))
    for name, value in (("GIT_DIR", tmp_path / "other" / ".git"), ("GIT_WORK_TREE", tmp_path / "other")):
        monkeypatch.setenv(name, str(value))
    with overridden(tiny.root, None, ["teacher.epochs=5"], restore=False) as tree:
        assert Path(git(tree, "rev-parse", "--path-format=absolute", "--git-common-dir").strip()) == tiny.root / ".git"


@pytest.mark.parametrize(
    "options", [("--depth", "1"), ("--filter=blob:none", "-c", "core.autocrlf=true", "-c", "core.filemode=false")]
)
def test_in_clones_of_other_kinds(tiny: TinyPipeline, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert tiny.run("git", "config", "uploadpack.allowFilter", "true").returncode == 0
    cloned(tiny, *options, f"file://{tiny.root}", str(tmp_path / "clone"))
    with overridden(tmp_path / "clone", None, ["teacher.epochs=5"]) as tree:
        assert home(tree) == tmp_path / "clone"
        assert read_graph(tree).nodes["teacher@left-42"].reasons


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that not even root can write to")
def test_a_checkout_that_cannot_be_written_is_one_line(tiny: TinyPipeline) -> None:
    shutil.rmtree(tiny.root / ".dvc" / "tmp", ignore_errors=True)
    (tiny.root / ".dvc" / "tmp").symlink_to("/proc/sys/nothing")
    with pytest.raises(UserError, match=r"can't be written \(.*; DVC and the flow write below"):
        check_repository(tiny.root)
    with pytest.raises(UserError, match="a run with other values needs it"), guarded(tiny.root):
        pass
