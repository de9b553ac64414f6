"""Keys, checksums and inputs that follow from dvc.lock alone, on a machine that holds no outputs."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from errors import UserError
from flows import run_cache
from flows.dvc_adapter.recorded_runs import RecordedRuns, entry_from, on_remote, write_lock
from flows.dvc_adapter.repository import open_repository
from flows.dvc_adapter.run_cache_entries import FILES, RUNS

TEACHER, EVALUATE = "teacher@left-42", "evaluate@left-finetune-42"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A pipeline in which everything ran and was pushed, with folders inside of folders."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("recorded") / "ran")
    made.script(
        "source",
        "mkdir -p outputs/source/$2/rows/deep; echo $2 | tee outputs/source/$2/rows/deep/a > outputs/source/$2/b",
    )
    text = (made.root / "dvc.yaml").read_text(encoding="utf-8")
    narrow = text.replace(
        "- outputs/source/${item.dataset}\n    - scripts/teacher",
        "- outputs/source/${item.dataset}/rows\n    - outputs/source/${item.dataset}/b\n    - scripts/teacher",
    )
    assert narrow != text
    (made.root / "dvc.yaml").write_text(narrow, encoding="utf-8")
    made.dvc("remote", "add", "--default", "store", "../store")
    made.dvc("repro")
    with open_repository(made.root) as repo:
        run_cache.push(repo)
    return made


@pytest.fixture
def root(ran: TinyPipeline, tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(ran.root, tmp_path / "copy", symlinks=True))
    shutil.copytree(ran.root.parent / "store", tmp_path / "store")
    return copied


@pytest.fixture
def empty(root: Path) -> Path:
    """The same, without outputs and cache."""
    shutil.rmtree(root / "outputs")
    shutil.rmtree(root / ".dvc" / "cache")
    return root


@pytest.fixture
def recorded(empty: Path) -> Iterator[RecordedRuns]:
    with open_repository(empty) as repo:
        yield RecordedRuns(repo)


def test_a_key_of_dvc_lock_alone_is_the_one_that_dvc_makes_of_the_files(
    ran: TinyPipeline, recorded: RecordedRuns
) -> None:
    with open_repository(ran.root) as repo:
        theirs = {stage.name: repo.entry_key(stage) for stage in repo.stages()}
    assert theirs["report"] and theirs[TEACHER] and theirs["register"] is None
    assert {name: recorded.key(name) for name in theirs} == theirs


def test_the_listing_of_a_folder_comes_without_its_files(recorded: RecordedRuns, empty: Path) -> None:
    assert recorded.key(TEACHER)
    cached = [path for path in (empty / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert cached and all(path.suffix == ".dir" for path in cached)


def test_without_the_entry_of_a_stage_before_there_is_no_key(empty: Path) -> None:
    with open_repository(empty) as repo:
        entries = RecordedRuns(repo).read()
        expected = RecordedRuns(repo).key(TEACHER)
    write_lock(empty, {name: entry for name, entry in entries.items() if name != "source@left"})
    with open_repository(empty) as repo:
        without = RecordedRuns(repo)
        assert without.key(TEACHER) is None and without.key("teacher@right-42")
        without.take("source@left", entries["source@left"])
        assert without.key(TEACHER) == expected is not None


def test_another_value_of_a_stage_before_is_another_key_and_its_own_again_the_same(recorded: RecordedRuns) -> None:
    entries, before = recorded.read(), recorded.key(TEACHER)
    other = entries["source@left"] | {"outs": [entries["source@right"]["outs"][0] | {"path": "outputs/source/left"}]}
    recorded.take("source@left", other)
    assert recorded.key(TEACHER) != before
    recorded.take("source@left", entries["source@left"])
    assert recorded.key(TEACHER) == before


def test_only_what_a_stage_reads_is_fetched(recorded: RecordedRuns, empty: Path) -> None:
    recorded.fetch_inputs(TEACHER)
    found = {str(path.relative_to(empty / "outputs")) for path in (empty / "outputs").rglob("*") if path.is_file()}
    assert found == {"source/left/rows/deep/a", "source/left/b"}
    recorded.fetch_inputs("report")
    assert (empty / "outputs" / "evaluate" / "right" / "finetune" / "42" / "metrics.json").is_file()


def test_what_is_gone_from_the_remote_is_one_error(recorded: RecordedRuns, empty: Path) -> None:
    shutil.rmtree(empty.parent / "store" / "files")
    with pytest.raises(UserError, match="its list of files"):
        recorded.fetch_inputs(TEACHER)


@pytest.mark.parametrize(
    "forged", ["rows/../../../../stolen", "rows/other"], ids=["outside of the folder", "another content"]
)
def test_a_forged_list_of_files_puts_nothing_in_place(empty: Path, forged: str) -> None:
    store = empty.parent / "store" / FILES
    with open_repository(empty) as repo:
        recorded = RecordedRuns(repo)
        entry = recorded.entry("source@left")
        assert entry is not None
        listing = json.loads((store / entry["outs"][0]["md5"][:2] / entry["outs"][0]["md5"][2:]).read_text())
        listing[-1]["relpath"] = forged
        content = json.dumps(listing).encode()
        name = f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir"
        if forged == "rows/other":  # under the name of the true one
            name = entry["outs"][0]["md5"]
        path = store / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        write_lock(empty, recorded.read() | {"source@left": entry | {"outs": [entry["outs"][0] | {"md5": name}]}})
    with open_repository(empty) as repo, pytest.raises(UserError):
        RecordedRuns(repo, run_cache.remove_forged).fetch_inputs(TEACHER)
    assert not list(empty.parent.rglob("stolen*"))
    assert not [path for path in empty.glob("outputs/source/left/**/*") if path.is_file()]


def test_what_a_stage_needs_and_what_git_brings_are_told_apart(recorded: RecordedRuns) -> None:
    assert set(recorded.before(EVALUATE)) == {TEACHER, "source@left"}
    assert recorded.other_inputs(EVALUATE) == ["scripts/evaluate"]


def test_an_entry_of_the_run_cache_becomes_the_same_dvc_lock_without_a_file(root: Path) -> None:
    with open_repository(root) as repo:
        recorded = RecordedRuns(repo)
        before = recorded.read()
        names = [name for name in recorded.read() if name != "register"]
        keys = {name: recorded.key(name) for name in names}
        entries = {}
        for name, key in keys.items():
            (path,) = (repo.cache / RUNS / str(key)[:2] / str(key)).iterdir()
            entries[name] = entry_from(path.read_bytes())
        shutil.rmtree(root / "outputs")
        (root / "dvc.lock").unlink()
        for name, entry in entries.items():
            recorded.take(name, entry)
        recorded.write(entries)
        now = recorded.read()
    assert now == {name: before[name] for name in names}
    assert "size: 0" not in (root / "dvc.lock").read_text(encoding="utf-8")


def test_the_remote_says_which_objects_it_holds(empty: Path) -> None:
    with open_repository(empty) as repo:
        names = set(RecordedRuns(repo).outputs([TEACHER, EVALUATE]).values())
        assert on_remote(repo, {*names, "0" * 32}) == names


def test_an_output_of_another_value_is_removed_and_one_of_the_same_stays(root: Path) -> None:
    with open_repository(root) as repo:
        recorded = RecordedRuns(repo)
        (root / "outputs" / "teacher" / "left" / "42").unlink()
        (root / "outputs" / "teacher" / "left" / "42").write_text("other\n", encoding="utf-8")
        for name in (TEACHER, "teacher@right-42"):
            recorded.remove_stale(name)
    assert not (root / "outputs" / "teacher" / "left" / "42").exists()
    assert (root / "outputs" / "teacher" / "right" / "42").exists()
