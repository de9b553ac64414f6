"""Runs with other values: in a worktree that shares the cache, leaves params.yaml alone and is gone afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_pipeline import TinyPipeline, make_tiny_pipeline, tool_environment

from errors import UserError
from flows.graph import read_graph
from flows.slots import SLOTS, dead, owners, remove_dead
from flows.worktree import kept_at, overridden
from paths import home

pytestmark = pytest.mark.xdist_group("tiny_ran")
METRICS = Path("outputs", "evaluate", "left", "finetune", "42", "metrics.json")
# Waits in a worktree until its input ends; SIGTERM and SIGKILL come before that.
WAITING = """
import sys
from pathlib import Path
from flows.worktree import overridden
with overridden(Path.cwd(), None, ["teacher.epochs=5"]) as tree:
    print(tree, flush=True)
    sys.stdin.read()
"""
RUNNING = """
import subprocess, sys
from pathlib import Path
from flows.worktree import overridden
with overridden(Path.cwd(), None, [f"teacher.epochs={sys.argv[1]}"]) as tree:
    subprocess.run([sys.executable, "-P", "-m", "dvc", "repro", "--quiet"], cwd=tree, check=True)
    print((tree / "outputs/evaluate/left/finetune/42/metrics.json").read_text())
"""


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A small pipeline after one run; its teachers had 10 epochs."""
    tiny = make_tiny_pipeline(tmp_path_factory.mktemp("worktree") / "tiny")
    tiny.dvc("repro", "--quiet")
    return tiny


@pytest.fixture
def tiny(ran: TinyPipeline, tmp_path: Path) -> TinyPipeline:
    """A copy to work in, in a folder whose name is no ASCII and holds a comment's sign."""
    return TinyPipeline(Path(shutil.copytree(ran.root, tmp_path / "für #1" / "tiny", symlinks=True)))


def epochs(root: Path) -> int:
    """The epochs that the evaluation of the left dataset saw."""
    return json.loads((root / METRICS).read_text())["epochs"]


def left(root: Path) -> list[str]:
    """Files and folders in that of the worktrees, down to the notes."""
    return sorted(str(path.relative_to(root / SLOTS)) for path in (root / SLOTS).rglob("*"))


def nothing_is_left(tiny: TinyPipeline) -> bool:
    """Return whether neither git nor the disk remembers a worktree."""
    listed = tiny.run("git", "worktree", "list").stdout.splitlines()
    return len(listed) == 1 and left(tiny.root) == [".guard", "processes"]


def test_without_other_values_the_repository_itself_is_used(tiny: TinyPipeline) -> None:
    with overridden(tiny.root) as tree:
        assert tree == tiny.root
        assert kept_at(tiny.root, tree) is None
    assert not (tiny.root / SLOTS).exists()


def test_other_values_hold_in_the_worktree_and_params_yaml_stays_untouched(tiny: TinyPipeline) -> None:
    before = (tiny.root / "params.yaml").read_bytes()
    with overridden(tiny.root, None, ["teacher.epochs=5"]) as tree:
        found = {name: node.reasons for name, node in read_graph(tree).nodes.items() if node.reasons}
        assert home(tree) == tiny.root
    assert found["teacher@left-42"] == ("params teacher.epochs: 10 -> 5",)
    assert set(found) == {"teacher@left-42", "teacher@right-42", "report", "register"}
    assert found["report"] == ("missing: outputs/report",)  # until the run makes its own
    assert (tiny.root / "params.yaml").read_bytes() == before
    assert nothing_is_left(tiny)


def test_what_is_unchanged_comes_from_the_cache_and_what_is_computed_goes_there(tiny: TinyPipeline) -> None:
    for expected in ("Running stage 'teacher@left-42'", "Stage 'teacher@left-42' is cached"):
        with overridden(tiny.root, None, ["teacher={epochs: 5}"]) as tree:
            assert (tree / "outputs" / "source" / "left").read_text() == "rows of left\n"
            printed = TinyPipeline(tree).dvc("repro").stdout
            assert epochs(tree) == 5
        assert expected in printed
        assert "Stage 'source@left' didn't change" in printed
    assert epochs(tiny.root) == 10


def test_a_profile_is_a_whole_params_file_and_a_name_in_profiles_will_do(tiny: TinyPipeline) -> None:
    profile = tiny.output().parent / "profiles" / "short.yaml"
    profile.parent.mkdir()
    text = (tiny.root / "params.yaml").read_text()
    profile.write_text(text.replace("epochs: 10", "epochs: 3"))
    for name in ("short", "profiles/short.yaml"):
        with overridden(tiny.root, Path(name), ["seeds=[42, 7]"], restore=False) as tree:
            assert "epochs: 3" in (tree / "params.yaml").read_text()
            assert "teacher@left-7" in read_graph(tree).nodes


def test_what_is_not_committed_comes_along(tiny: TinyPipeline) -> None:
    tiny.script("evaluate", "changed")
    (tiny.root / "new folder").mkdir()
    (tiny.root / "new folder" / "file").write_text("new")
    (tiny.root / "scripts" / "report").unlink()
    with overridden(tiny.root, None, ["teacher.epochs=5"], restore=False) as tree:
        assert (tree / "scripts" / "evaluate").read_text() == "changed\n"
        assert (tree / "new folder" / "file").read_text() == "new"
        assert not (tree / "scripts" / "report").exists()


def test_data_that_git_does_not_know_is_reached_by_the_same_paths(tiny: TinyPipeline) -> None:
    outside = tiny.root.parent / "beside" / "rows"
    for folder in (tiny.root / "private" / "left", tiny.root / "private" / "right", outside):
        folder.mkdir(parents=True)
        (folder / "rows.csv").write_text(f"rows in {folder.name}")
    with (tiny.root / ".gitignore").open("a") as file:
        file.write("private/\n")
    dvc_yaml = tiny.root / "dvc.yaml"
    dependency = "      - scripts/source\n"
    dvc_yaml.write_text(
        dvc_yaml.read_text().replace(dependency, f"{dependency}      - ${{source.folder}}/${{item.dataset}}\n")
    )
    tiny.script(
        "source", "mkdir -p outputs/source; cat private/$2/rows.csv ../beside/rows/rows.csv > outputs/source/$2"
    )
    with overridden(tiny.root, None, ["source.folder=private", "source.search=[../beside/rows]"]) as tree:
        TinyPipeline(tree).dvc("repro")
        assert (tree / "outputs" / "source" / "left").read_text() == "rows in leftrows in rows"
    assert (tiny.root / "private" / "left" / "rows.csv").is_file()
    assert outside.is_dir()


def test_the_report_the_metrics_and_what_was_run_stay_in_outputs_runs(tiny: TinyPipeline) -> None:
    with overridden(tiny.root, None, ["teacher.epochs=5"]) as tree:
        TinyPipeline(tree).dvc("repro", "--quiet")
        kept = kept_at(tiny.root, tree)
    assert kept is not None and kept.parent == tiny.output("runs")
    assert (kept / "report" / "table.txt").is_file()
    assert json.loads((kept / METRICS.relative_to("outputs")).read_text()) == {"epochs": 5}
    assert "epochs: 5" in (kept / "params.yaml").read_text()
    assert (kept / "dvc.lock").is_file()


def test_nothing_is_kept_of_a_run_that_got_to_no_evaluation(tiny: TinyPipeline) -> None:
    with overridden(tiny.root, None, ["teacher.epochs=5"]) as tree:
        assert (tree / METRICS).is_file()  # of the values in params.yaml, so it is nothing that this run found
    assert not tiny.output("runs").exists()


def test_a_worktree_is_removed_after_an_error_in_it(tiny: TinyPipeline) -> None:
    with pytest.raises(ZeroDivisionError), overridden(tiny.root, None, ["teacher.epochs=5"], restore=False):
        raise ZeroDivisionError
    assert nothing_is_left(tiny)


def waiting(tiny: TinyPipeline) -> "subprocess.Popen[str]":
    """A process in a worktree."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        cwd=tiny.root,
        env=tool_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and Path(process.stdout.readline().strip()).is_dir()
    return process


def test_a_worktree_is_removed_when_its_process_is_told_to_end(tiny: TinyPipeline) -> None:
    with waiting(tiny) as process:
        process.terminate()
        assert process.wait(300) == 128 + signal.SIGTERM
    assert nothing_is_left(tiny)


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_one_s_is_not(tiny: TinyPipeline) -> None:
    with waiting(tiny) as killed, waiting(tiny) as living:
        assert {note.owner.pid for note in owners(tiny.root)} == {killed.pid, living.pid}
        killed.kill()
        killed.wait(300)
        assert len(dead(tiny.root)) == 1
        with overridden(tiny.root, None, ["teacher.epochs=6"], restore=False):
            assert dead(tiny.root) == []
            assert {note.owner.pid for note in owners(tiny.root)} == {living.pid, os.getpid()}
        assert [note.owner.pid for note in owners(tiny.root)] == [living.pid]
        living.communicate()
    assert living.returncode == 0
    assert remove_dead(tiny.root) == []
    assert nothing_is_left(tiny)


def test_two_at_once_are_both_right(tiny: TinyPipeline) -> None:
    before = (tiny.root / "params.yaml").read_bytes()
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUNNING, str(number)],
            cwd=tiny.root,
            env=tool_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (5, 6)
    ]
    printed = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert [json.loads(text.strip().splitlines()[-1]) for text in printed] == [{"epochs": 5}, {"epochs": 6}]
    assert (tiny.root / "params.yaml").read_bytes() == before
    assert nothing_is_left(tiny)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["teacher.epochs=0", "curriculum.rewrad=1"], r"2 errors\n.*did you mean 'reward'\?\n.*teacher.epochs: 0 "),
        (["teacher.epochs"], "--set teacher.epochs: expected KEY=VALUE"),
        (["threads.epochs=1"], "threads is a single value, it has no keys"),
        (["teacher.epochs=[1"], "the value is not valid YAML"),
    ],
)
def test_values_that_cannot_be_used_are_told_before_anything_is_made(
    tiny: TinyPipeline, values: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message), overridden(tiny.root, None, values):
        pass
    assert not (tiny.root / SLOTS).exists()
