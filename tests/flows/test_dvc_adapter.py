"""Contract between flows/dvc_adapter and DVC, part by part, on a small repository in which DVC really ran.

Most of it is no public interface: where a release of DVC changes one, the test of that part fails.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny_pipeline import tool_environment

from errors import BusyError, UserError
from flows.dvc_adapter import repro
from flows.dvc_adapter.repository import Repository, check_repository, open_repository, share_cache, warnings_hidden
from flows.dvc_adapter.run_cache_entries import FILES, HASH, RUNS, entry_name
from flows.dvc_adapter.tracked import DvcStage

ROOT = Path(__file__).parents[2]
# Merge keys, a matrix over an empty list, a name with a dash, a list as a parameter, and DVC's rwlock while a stage runs.
DVC_YAML = """
stages:
  rows:
    matrix: {dataset: "${datasets}"}
    cmd: mkdir -p outputs && cp -r in outputs/${item.dataset}
    deps: [in]
    outs: ["outputs/${item.dataset}"]
  score: &score
    matrix: &over {dataset: "${datasets}", method: "${methods.student}"}
    cmd: echo ${item.method} > outputs/${item.dataset}-${item.method}
    deps: ["outputs/${item.dataset}"]
    params: [train.rate, train.steps]
    outs: ["outputs/${item.dataset}-${item.method}"]
  score_curriculum:
    <<: *score
    matrix: {<<: *over, method: "${methods.curriculum}"}
  score_assisted:
    <<: *score
    matrix: {<<: *over, method: "${methods.assisted}"}
  noted:
    cmd: cp .dvc/tmp/rwlock outputs/noted
    deps: [outputs/left-kd]
    outs: [outputs/noted]
  always:
    cmd: "true"
    always_changed: true
    deps: [outputs/noted]
  fails:
    cmd: exit 3
"""
PARAMS = {
    "datasets": ["left", "right"],
    "methods": {"student": ["kd"], "curriculum": ["mp-d"], "assisted": []},
    "train": {"rate": 0.1, "steps": [1, 2]},
}
RAN = ["rows@left", "rows@right", "score@left-kd", "score@right-kd", "score_curriculum@left-mp-d"]


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after `dvc repro` of everything but `fails`; a remote beside it."""
    root = tmp_path_factory.mktemp("adapter") / "ran"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a").write_text("rows\n", encoding="utf-8")
    (root / "dvc.yaml").write_text(DVC_YAML, encoding="utf-8")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    (root / ".gitignore").write_text("/outputs\n", encoding="utf-8")
    dvc = (sys.executable, "-P", "-m", "dvc")
    for command in (
        ("git", "init", "--quiet"),
        (*dvc, "init", "--quiet"),
        (*dvc, "remote", "add", "--quiet", "--default", "store", "../store"),
        (*dvc, "repro", "always", "score", "score_curriculum"),
    ):
        subprocess.run(command, cwd=root, env=tool_environment(), check=True, capture_output=True)
    return root


@pytest.fixture
def root(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change; the current folder, as DVC wants it."""
    copied = Path(shutil.copytree(ran, tmp_path / "copy", symlinks=True))
    monkeypatch.chdir(copied)
    return copied


@pytest.fixture
def repo(root: Path) -> Iterator[Repository]:
    with open_repository(root) as repository:
        yield repository


def stage(repo: Repository, name: str = "score@left-kd") -> DvcStage:
    return next(one for one in repo.stages() if one.name == name)


def printed(root: Path, name: str) -> list[str]:
    """The lines that the runner's command prints for a stage."""
    done = subprocess.run(
        repro.repro_command(name), cwd=root, env=tool_environment(), capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).splitlines()


def clear_cache(repo: Repository) -> None:
    shutil.rmtree(repo.cache)


# --- the graph


def test_a_matrix_with_merge_keys_is_expanded_and_one_over_an_empty_list_makes_no_stage(repo: Repository) -> None:
    names = [one.name for one in repo.stages()]
    assert sorted(names) == sorted([*RAN, "score_curriculum@right-mp-d", "noted", "always", "fails"])
    merged = stage(repo, "score_curriculum@left-mp-d")
    assert merged.command == "echo mp-d > outputs/left-mp-d"
    assert [one.keys for one in merged.params] == [("train.rate", "train.steps")]


def test_a_stage_stands_after_those_that_it_needs_and_names_them(repo: Repository) -> None:
    stages = repo.stages()
    names = [one.name for one in stages]
    assert all(names.index(need) < names.index(one.name) for one in stages for need in one.needs)
    assert {one.name: one.needs for one in stages if one.needs} == {
        "score@left-kd": ("rows@left",),
        "score@right-kd": ("rows@right",),
        "score_curriculum@left-mp-d": ("rows@left",),
        "score_curriculum@right-mp-d": ("rows@right",),
        "noted": ("score@left-kd",),
        "always": ("noted",),
    }


def test_names_are_those_of_the_root_wherever_a_command_is_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "in")
    (root / "in" / "dvc.yaml").write_text("stages: {inner: {cmd: 'true'}}\n", encoding="utf-8")
    (root / "own.dvc").write_text("outs: [{path: own, md5: 0123456789abcdef0123456789abcdef, hash: md5}]\n")
    with open_repository(root) as repository:
        assert {"rows@left", "in/dvc.yaml:inner", "own.dvc"} <= {one.name for one in repository.stages()}


def test_paths_and_checksums_are_those_of_dvc_lock(repo: Repository, root: Path) -> None:
    found = stage(repo)
    recorded = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"][found.name]
    for tracked, entry in (
        *zip(found.deps, recorded["deps"], strict=True),
        *zip(found.outs, recorded["outs"], strict=True),
    ):
        assert (tracked.path, tracked.written, tracked.checksum) == (root / entry["path"], entry["path"], entry["md5"])
    assert found.outs[0].checksum == hashlib.md5(b"kd\n").hexdigest()
    assert found.deps[0].checksum.endswith(".dir")
    assert stage(repo, "fails").outs == () and not stage(repo, "fails").has_run


def test_parameters_are_known_as_recorded_and_as_they_are_now(root: Path) -> None:
    content = PARAMS | {"train": {"rate": 0.2, "steps": [1, 2]}}
    (root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with open_repository(root) as repository:
        (params,) = stage(repository).params
        assert params.file == root / "params.yaml"
        assert params.recorded == {"train.rate": 0.1, "train.steps": [1, 2]}
        assert params.read() == {"train.rate": 0.2, "train.steps": [1, 2]}


# --- statuses


def test_what_is_up_to_date_has_no_status(repo: Repository) -> None:
    found = stage(repo)
    assert found.has_run and not found.always and not found.command_changed
    assert [one.status() for one in (*found.deps, *found.outs)] == [None, None]


def test_a_changed_a_missing_and_a_forgotten_path_are_told_apart(repo: Repository, root: Path) -> None:
    changed, missing, forgotten = (stage(repo, f"{name}").outs[0] for name in ("noted", RAN[2], RAN[3]))
    changed.path.unlink()
    changed.path.write_text("other\n", encoding="utf-8")
    missing.path.unlink()
    forgotten.path.unlink()
    name = stage(repo, RAN[4]).outs[0].checksum
    assert name != forgotten.checksum == missing.checksum  # both hold the method's name, so one object of the cache
    assert (changed.status(), missing.status()) == ("modified", "deleted")
    (repo.cache / FILES / forgotten.checksum[:2] / forgotten.checksum[2:]).unlink()
    assert forgotten.status() == "not in cache"


def test_a_stage_that_never_ran_has_no_checksums(root: Path) -> None:
    (root / "dvc.lock").unlink()
    with open_repository(root) as repository:
        found = stage(repository)
        assert not found.has_run
        assert found.outs[0].checksum == "" and found.outs[0].status() == "modified"
        assert found.params[0].recorded == {}


def test_a_changed_command_and_a_stage_that_always_runs_are_known(root: Path) -> None:
    path = root / "dvc.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("echo ", "printf "), encoding="utf-8")
    with open_repository(root) as repository:
        assert stage(repository).command_changed and not stage(repository, "rows@left").command_changed
        assert stage(repository, "always").always


# --- the cache and the run cache


def test_objects_and_entries_lie_where_the_layout_says(repo: Repository, root: Path) -> None:
    found = stage(repo).outs[0]
    assert (repo.cache / FILES / found.checksum[:2] / found.checksum[2:]).read_bytes() == b"kd\n"
    folder = stage(repo, "rows@left").outs[0].checksum
    listing = json.loads((repo.cache / FILES / folder[:2] / folder[2:]).read_text(encoding="utf-8"))
    assert listing == [{"md5": hashlib.md5(b"rows\n").hexdigest(), "relpath": "a"}]
    assert len(list((repo.cache / RUNS).glob("??/*/*"))) == len(RAN) + 2  # `noted`, and the other dataset's curriculum


def test_checksums_are_found_in_dvc_lock_and_in_entries(repo: Repository, root: Path) -> None:
    outs = {out.checksum for one in repo.stages() for out in one.outs if out.checksum}
    assert outs <= set(HASH.findall((root / "dvc.lock").read_text(encoding="utf-8")))
    entries = (path.read_text(encoding="utf-8") for path in (repo.cache / RUNS).glob("??/*/*"))
    assert outs <= {name for text in entries for name in HASH.findall(text)}


def test_an_entry_hashes_to_the_two_names_under_which_it_lies(repo: Repository, root: Path) -> None:
    entries = list((repo.cache / RUNS).glob("??/*/*"))
    assert [entry_name(path) for path in entries] == [path.parts[-2:] for path in entries]
    entries[0].write_text(entries[0].read_text(encoding="utf-8").replace("md5: ", "md5: 0", 1), encoding="utf-8")
    assert entry_name(entries[0]) != entries[0].parts[-2:]
    for text in ("[1, 2]", "a: {", "\0"):
        entries[0].write_text(text, encoding="utf-8")
        assert entry_name(entries[0]) is None


def test_the_entry_of_a_stage_is_found_by_its_inputs_and_by_its_record(repo: Repository) -> None:
    found = repo.recorded_entry(stage(repo))
    assert found is not None and (repo.cache / RUNS / found[0][:2] / found[0] / found[1]).is_file()
    assert repo.entry_key(stage(repo)) == found[0]
    assert repo.recorded_entry(stage(repo, "always")) is repo.entry_key(stage(repo, "always")) is None


def test_outputs_come_back_by_dvc_lock_and_without_it_by_the_run_cache(root: Path) -> None:
    shutil.rmtree(root / "outputs")
    with open_repository(root) as repository:
        for name in ("rows@left", "score@left-kd"):
            assert stage(repository, name).is_cached
            repository.check_out(stage(repository, name))
    assert (root / "outputs" / "left" / "a").read_bytes() == b"rows\n"
    (root / "dvc.lock").unlink()
    (root / "outputs" / "left-kd").unlink()
    with open_repository(root) as repository:
        assert not stage(repository).is_cached
        assert repository.restore(stage(repository))
        assert (root / "outputs" / "left-kd").read_bytes() == b"kd\n"
        (root / "outputs" / "left" / "a").unlink()
        assert not repository.restore(stage(repository))


# --- a remote


def test_outputs_and_entries_go_to_a_remote_and_come_back(repo: Repository, root: Path) -> None:
    assert repo.default_remote == "store"
    found, remote = stage(repo), repo.remote_run_cache()
    entry = repo.recorded_entry(found)
    assert remote is not None and entry is not None
    path = repo.cache / RUNS / entry[0][:2] / entry[0] / entry[1]
    repo.push([found])
    assert (remote.entries(entry[0]), remote.upload(path, *entry)) == ([], True)
    assert (remote.entries(entry[0]), remote.upload(path, *entry)) == ([entry[1]], False)
    assert remote.size(*entry) == path.stat().st_size
    store = root.parent / "store"
    assert remote.address(*entry).endswith(str(store / RUNS / entry[0][:2] / entry[0] / entry[1]))
    remote.download(*entry, root / "copied")
    assert (root / "copied").read_bytes() == path.read_bytes()
    assert [path.parts[-2] + path.name for path in (store / FILES).glob("??/*")] == [found.outs[0].checksum]
    clear_cache(repo)
    repo.verify_downloads()
    assert repo.fetch([found]) == []
    assert found.is_cached


def test_a_forged_object_of_a_remote_is_deleted_and_named(repo: Repository, root: Path) -> None:
    found = stage(repo, "rows@left")
    name = hashlib.md5(b"rows\n").hexdigest()
    repo.push([found])
    clear_cache(repo)
    forged = root.parent / "store" / FILES / name[:2] / name[2:]
    forged.chmod(0o644)
    forged.write_text("other\n", encoding="utf-8")
    repo.verify_downloads()
    assert [Path(path) for path in repo.fetch([found])] == [forged]
    assert not found.is_cached


def test_what_restoring_would_check_out_is_fetched_by_the_entry_of_the_inputs(root: Path) -> None:
    with open_repository(root) as repository:
        repository.push([stage(repository)])
        (root / "dvc.lock").unlink()
    with open_repository(root) as repository:
        shutil.rmtree(repository.cache / "files")
        found = stage(repository)
        assert repository.entry_key(found)
        assert not repository.restore(found)
        assert repository.fetch_restorable(found) == []
        assert repository.restore(found)


def test_a_second_checkout_has_the_cache_and_the_remotes_of_the_first(root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "Wörkträd"
    shutil.copytree(root, tree, ignore=shutil.ignore_patterns("outputs", ".git", "cache", "tmp"))
    share_cache(root, tree)
    assert (tree / ".dvc" / "config.local").stat().st_mode & 0o777 == 0o600
    os.chdir(tree)  # as the fixture's chdir, which is undone
    with open_repository(tree) as there:
        assert there.cache == root / ".dvc" / "cache" and there.default_remote == "store"
        there.check_out(stage(there))
    assert (tree / "outputs" / "left-kd").read_bytes() == b"kd\n"


# --- opening, locks, errors


def test_a_repository_that_cannot_be_opened_is_one_error_with_the_way_out(root: Path, tmp_path: Path) -> None:
    check_repository(root)
    with pytest.raises(UserError, match="not the root of its DVC repository, which is"):
        check_repository(root / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no DVC repository; run from the root of a clone"):
        check_repository(tmp_path / "empty")
    shutil.rmtree(root / ".git")
    with pytest.raises(UserError, match="`git init` makes it one"):
        check_repository(root)


@pytest.mark.parametrize("text", ["stages: {rows: {cmd: 1, deps: 2}}", "stages: {", "stages: {a: {cmd: '${gone}'}}"])
def test_a_pipeline_that_dvc_cannot_read_is_one_error_on_one_line(root: Path, text: str) -> None:
    (root / "dvc.yaml").write_text(text, encoding="utf-8")
    with (
        pytest.raises(UserError, match=r"^DVC can't read the pipeline in .*dvc\.yaml[^\n]*$"),
        open_repository(root) as r,
    ):
        r.stages()


def test_the_process_that_holds_dvcs_lock_is_named(root: Path) -> None:
    with (
        open_repository(root),
        pytest.raises(BusyError, match=f"process {os.getpid()} has held DVC's lock"),
        open_repository(root, patience=0.0),
    ):
        pass


def test_warnings_are_hidden_and_come_back(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    with warnings_hidden():
        logging.getLogger("dvc_data").warning("hidden")
        assert not logging.getLogger("dvc.repo").isEnabledFor(logging.WARNING)
    assert logging.getLogger("dvc_data").isEnabledFor(logging.WARNING)


# --- `dvc repro` and its rwlock file


def test_the_rwlock_file_names_the_process_of_a_stage_while_it_runs(ran: Path, root: Path) -> None:
    content = json.loads((root / "outputs" / "noted").read_text(encoding="utf-8"))
    writer, readers = content["write"][str(ran / "outputs/noted")], content["read"][str(ran / "outputs/left-kd")]
    assert {*writer} == {"pid", "cmd"} and readers == [writer]
    (root / repro.RWLOCK).write_text(json.dumps(content), encoding="utf-8")
    with repro.rwlock_guard(root):
        assert repro.read_rwlock(root) == content
    (root / repro.RWLOCK).unlink()
    with pytest.raises(FileNotFoundError):
        repro.read_rwlock(root)


@pytest.mark.parametrize("text", ['{"write": {"a', '{"write": [], "read": {}}'], ids=["truncated", "another form"])
def test_a_rwlock_file_that_dvc_cannot_read_is_known_by_its_words(root: Path, text: str) -> None:
    (root / repro.RWLOCK).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError):
        repro.read_rwlock(root)
    assert any(repro.RWLOCK_UNREADABLE.search(line) for line in printed(root, "rows@left"))


def test_the_lines_of_a_stage_that_ran_was_restored_or_unchanged_are_known(root: Path) -> None:
    (root / "in" / "a").write_text("others\n", encoding="utf-8")
    ran, unchanged = printed(root, "rows@left"), printed(root, "rows@left")
    shutil.rmtree(root / "outputs" / "left")
    restored = printed(root, "rows@left")
    assert ran[0].startswith(repro.RUNNING.format("rows@left"))
    assert [line for line in ran if line and not repro.ADVICE.match(line)] == [ran[0], ran[1]]
    assert repro.UNCHANGED in unchanged[0] and restored[0].startswith(repro.RESTORED.format("rows@left"))


def test_the_status_of_a_command_and_a_path_that_another_process_holds_are_known(root: Path) -> None:
    assert [found[1] for line in printed(root, "fails") if (found := repro.EXITED.search(line))] == ["3"]
    holder = {"pid": os.getpid(), "cmd": "dvc repro -s rows@left"}
    content = {"write": {str(root / "outputs" / "left"): holder}, "read": {}}
    (root / repro.RWLOCK).write_text(json.dumps(content), encoding="utf-8")
    shutil.rmtree(root / "outputs" / "left")
    assert any(repro.BUSY.search(line) for line in printed(root, "rows@left"))


# --- who imports DVC, and when


def test_the_adapter_imports_dvc_only_when_it_is_asked_something() -> None:
    modules = ("repository", "repro", "run_cache_entries", "tracked")
    code = (
        f"import sys; {'; '.join(f'import flows.dvc_adapter.{name}' for name in modules)}; print('dvc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


ASK_DVC_ITSELF = {
    "tests/flows/recorded.py": "records outputs that no stage made",
    "tests/flows/test_run_cache.py": "makes forged entries",
    "tests/flows/test_rwlock.py": "holds the file as DVC does",
    "tests/pipeline/workspace.py": "asks DVC, and not the flows, what is out of date",
    "tests/unit/tasks/test_declaration.py": "asks DVC what it tracks",
    "tests/unit/test_doc_blocks.py": "has the commands of the docs parsed",
    "tests/unit/config/test_strict_yaml.py": "compares what both read in a file",
}
"""Tests that hold something of ours against DVC's own answer, and why."""


def test_nothing_else_imports_dvc() -> None:
    names = "|".join(("dvc", "dvc_data", "dvc_objects", "dvc_task", "scmrepo"))
    imports = re.compile(rf"^\s*(?:from|import) (?:{names})\b", re.MULTILINE)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = {name for name in listed if (ROOT / name).is_file() and imports.search((ROOT / name).read_text("utf-8"))}
    assert {name for name in found if not name.startswith("flows/dvc_adapter/")} == set(ASK_DVC_ITSELF)
