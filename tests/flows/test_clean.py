"""clean: DVC forgets what nobody names, and never what a registered version, a named commit or the workspace needs."""

import io
import os
import re
import shutil
from pathlib import Path

import pytest
from stages import ROOT
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from errors import BusyError, UserError
from flows.clean import main
from flows.worktree import overridden

pytestmark = pytest.mark.xdist_group("tiny_ran")


@pytest.fixture(scope="session")
def ran_twice(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A small pipeline that ran with teachers of 10 epochs and then with 11; nothing of it is committed."""
    tiny = make_tiny_pipeline(tmp_path_factory.mktemp("clean") / "tiny")
    tiny.dvc("repro", "--quiet")
    shutil.copy(tiny.root / "dvc.lock", tiny.root.parent / "first.lock")
    set_epochs(tiny, 11)
    tiny.dvc("repro", "--quiet")
    return tiny


@pytest.fixture
def tiny(ran_twice: TinyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyPipeline:
    """A copy, which is the current folder; `tasks` is this repository's."""
    root = Path(shutil.copytree(ran_twice.root, tmp_path / "tiny", symlinks=True))
    shutil.copy(ran_twice.root.parent / "first.lock", tmp_path / "first.lock")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return TinyPipeline(root)


def set_epochs(tiny: TinyPipeline, number: int) -> None:
    path = tiny.root / "params.yaml"
    path.write_text(
        "\n".join(
            f"  epochs: {number}" if line.startswith("  epochs: 1") else line for line in path.read_text().splitlines()
        )
    )


def objects(tiny: TinyPipeline) -> set[Path]:
    """Files of DVC's cache, run cache included."""
    return {path for path in (tiny.root / ".dvc" / "cache").rglob("*") if path.is_file()}


def clean(*, dry_run: bool = False, yes: bool = True, older_than: float | None = None) -> int:
    """Clean without being asked."""
    return main(dry_run=dry_run, yes=yes, older_than=older_than)


def nothing_is_missing(tiny: TinyPipeline, lock: Path | None = None) -> bool:
    """Return whether all outputs of a dvc.lock, or the workspace's own, can be had from the cache."""
    if lock is not None:
        shutil.copy(lock, tiny.root / "dvc.lock")
    shutil.rmtree(tiny.output())
    return tiny.run("dvc", "checkout").returncode == 0


def test_what_only_an_earlier_run_needs_goes_and_the_workspace_loses_nothing(
    tiny: TinyPipeline, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = objects(tiny)
    assert clean() == 0
    printed = capsys.readouterr().out
    found = re.search(r"DVC may forget (\d+) objects.*\nAlso (\d+) entries of its run cache", printed)
    assert found and all(map(int, found.groups()))
    assert len(before - objects(tiny)) == sum(map(int, found.groups()))
    assert nothing_is_missing(tiny)
    assert not nothing_is_missing(tiny, tmp_path / "first.lock")


def test_a_dry_run_changes_nothing(tiny: TinyPipeline, capsys: pytest.CaptureFixture[str]) -> None:
    before = objects(tiny)
    assert clean(dry_run=True) == 0
    assert re.search(r"DVC may forget [1-9]\d* objects", capsys.readouterr().out)
    assert objects(tiny) == before


def test_without_a_terminal_and_without_yes_nothing_is_removed(
    tiny: TinyPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects(tiny)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UserError, match="--yes removes it, --dry-run only shows it"):
        clean(yes=False)
    assert objects(tiny) == before


def test_what_a_tag_names_stays(tiny: TinyPipeline, tmp_path: Path) -> None:
    second = (tiny.root / "dvc.lock").read_text()
    shutil.copy(tmp_path / "first.lock", tiny.root / "dvc.lock")
    for command in (("add", "dvc.lock"), ("commit", "--quiet", "--message", "first"), ("tag", "v1")):
        assert tiny.run("git", *command).returncode == 0
    (tiny.root / "dvc.lock").write_text(second)
    before = objects(tiny)
    assert clean() == 0
    assert objects(tiny) == before


@pytest.fixture(scope="session")
def artifacts(ran_twice: TinyPipeline) -> Path:
    """Artifacts of a registry with two versions, the first registered with the first run's dvc.lock, the second without one."""
    from registry import names
    from registry.connection import connect

    folder = ran_twice.root.parent
    evidence = folder / "evidence"
    evidence.mkdir()
    (evidence / "params.yaml").write_text("seeds: [42]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        client = connect()
        experiment = client.create_experiment("tests", str(folder / "artifacts"))
        client.create_registered_model("some-model")
        for number in (1, 2):
            if number == 1:
                shutil.copy(folder / "first.lock", evidence / "dvc.lock")
            run = client.create_run(experiment).info.run_id
            client.log_artifacts(run, str(evidence), names.EVIDENCE)
            client.create_model_version("some-model", "file:///nowhere", run, tags={names.KEY: str(number)})
            (evidence / "dvc.lock").unlink(missing_ok=True)
    return folder / "artifacts"


def test_what_a_registered_version_names_stays_and_one_without_a_dvc_lock_is_told(
    tiny: TinyPipeline,
    artifacts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{artifacts.parent / 'mlflow.db'}")
    before = objects(tiny)
    assert clean() == 0
    printed = capsys.readouterr().out
    assert "2 registered versions name" in printed
    assert "Registered without a dvc.lock, so DVC can't tell what they came from: some-model/2." in printed
    assert objects(tiny) == before
    assert nothing_is_missing(tiny, tmp_path / "first.lock")


def test_a_version_whose_files_are_gone_keeps_everything(
    tiny: TinyPipeline, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{artifacts.parent / 'mlflow.db'}")
    before = objects(tiny)
    elsewhere = artifacts.rename(artifacts.with_name("moved"))
    try:
        with pytest.raises(UserError, match=r"nothing is removed: .*some-model/\d: the files of its run are gone"):
            clean()
    finally:
        elsewhere.rename(artifacts)
    assert objects(tiny) == before


def test_a_registry_that_does_not_answer_keeps_everything(tiny: TinyPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    before = objects(tiny)
    with pytest.raises(UserError, match=r"so nothing is removed: .*http://127\.0\.0\.1:9: no answer"):
        clean()
    assert objects(tiny) == before


def test_what_a_kept_run_names_stays_until_it_is_old_enough_to_go(tiny: TinyPipeline, tmp_path: Path) -> None:
    kept = tiny.output("runs", "20260101-000000-abcd")
    kept.mkdir(parents=True)
    shutil.copy(tmp_path / "first.lock", kept / "dvc.lock")
    before = objects(tiny)
    assert clean(older_than=1.0) == 0
    assert objects(tiny) == before
    os.utime(kept, (0, 0))
    assert clean(older_than=1.0) == 0
    assert objects(tiny) < before
    assert not kept.exists()


def test_leftovers_of_killed_stages_go_and_those_of_living_ones_stay(tiny: TinyPipeline) -> None:
    gone, living = (tiny.output(".partial", f"teacher-left-42-{pid}") for pid in (2**22 + 1, os.getpid()))
    for folder in (gone, living):
        folder.mkdir(parents=True)
    assert clean() == 0
    assert not gone.exists()
    assert living.exists()


def test_nothing_is_removed_while_a_run_with_other_values_is_under_way(tiny: TinyPipeline) -> None:
    before = objects(tiny)
    with (
        overridden(tiny.root, None, ["teacher.epochs=5"], restore=False),
        pytest.raises(BusyError, match=f"process {os.getpid()} is running with other values"),
    ):
        clean()
    assert objects(tiny) == before


def test_a_cache_outside_of_the_repository_is_left_to_those_who_share_it(tiny: TinyPipeline) -> None:
    tiny.dvc(
        "cache", "dir", "--local", "../shared"
    )  # DVC writes no path that is no ASCII, and pytest's folder may be one
    with pytest.raises(UserError, match="other repositories may share it"):
        clean()
