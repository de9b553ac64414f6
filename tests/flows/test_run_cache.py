"""DVC's run cache on a remote: the little that somebody who can write there may put into a checkout, and the copies of a push."""

import contextlib
import copy
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo  # here, and not in a test: its log keeps the stream that it finds when it is imported
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import dump_yaml, load_yaml

from errors import UserError
from flows.deploy_steps import transfer, vet
from flows.dvc_adapter.repository import open_repository
from flows.run_cache import check_out

STAGES = {
    "rows": {"cmd": "mkdir -p outputs && cp -r in outputs/rows", "deps": ["in"], "outs": ["outputs/rows"]},
    "model": {"cmd": "cp outputs/rows/a outputs/model", "deps": ["outputs/rows"], "outs": ["outputs/model"]},
}
EVIL = b"print('a shell')\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository whose stages ran (`ran`), and the remote that it was pushed to (`store`)."""
    folder = tmp_path_factory.mktemp("made")
    repository(folder / "ran", folder / "store")
    reproduce(folder / "ran")
    transfer("push", folder / "ran")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of the remote, to be changed."""
    return Path(shutil.copytree(made / "store", tmp_path / "store"))


@pytest.fixture
def clone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which nothing ran, without a dvc.lock, that knows the remote; the current folder, as DVC wants it."""
    monkeypatch.chdir(repository(tmp_path / "clone", store).absolute())
    return Path.cwd()


def repository(folder: Path, store: Path) -> Path:
    """A repository of two stages, and its default remote."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a").write_text("rows\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
    (folder / ".gitignore").write_text("/outputs\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    Repo.init(str(folder)).close()
    # Relative, which DVC turns into a path from its own folder: its configuration is ASCII, and a path need not be.
    with Repo(str(folder)) as repo, repo.config.edit("repo") as settings:
        settings["remote"] = {"store": {"url": os.path.relpath(store)}}
        settings["core"]["remote"] = "store"
    return folder


def reproduce(folder: Path) -> None:
    """`dvc repro`."""
    with contextlib.chdir(folder), Repo() as repo:
        repo.reproduce()


def entry_of(store: Path, output: str) -> Path:
    """The entry of the stage that writes this output."""
    return next(path for path in (store / "runs").glob("*/*/*") if load_yaml(path)["outs"][0]["path"] == output)


def put(store: Path, content: bytes, suffix: str = "") -> str:
    """Lay a file on a remote under the checksum that it has."""
    name = hashlib.md5(content).hexdigest() + suffix
    path = store / "files" / "md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


def leading_out(store: Path) -> bytes:
    """The listing of a folder `outputs/rows`, with a module for the root."""
    return json.dumps([{"md5": put(store, EVIL), "relpath": "../../pyarrow.py"}]).encode()


def names_another_output(store: Path) -> None:
    """A further output in the entry of a stage."""
    path = entry_of(store, "outputs/rows")
    entry = load_yaml(path)
    entry["outs"].append({"path": "pyarrow.py", "hash": "md5", "md5": put(store, EVIL), "size": len(EVIL)})
    dump_yaml(path, entry)


def names_another_output_and_itself(store: Path) -> None:
    """A further output in an entry, under the name that such an entry has."""
    names_another_output(store)
    path = entry_of(store, "outputs/rows")
    path.rename(path.with_name(_get_cache_hash(load_yaml(path))))


def has_another_name(store: Path) -> None:
    """A further output in an entry, under a name that is none of an entry's: DVC takes the newest file, whatever its name."""
    names_another_output(store)
    path = entry_of(store, "outputs/rows")
    path.rename(path.with_name("newest.tmp"))


def lists_a_file_outside(store: Path) -> None:
    """An entry of the stage's own output, under the right names, whose folder holds a file that lies outside of it."""
    path = entry_of(store, "outputs/rows")
    entry = load_yaml(path)
    entry["outs"][0]["md5"] = put(store, leading_out(store), ".dir")
    path.unlink()
    dump_yaml(path.with_name(_get_cache_hash(copy.deepcopy(entry))), entry)


def is_another_listing(store: Path) -> None:
    """The listing of a folder, replaced under its name."""
    name = load_yaml(entry_of(store, "outputs/rows"))["outs"][0]["md5"]
    (store / "files" / "md5" / name[:2] / name[2:]).chmod(0o644)
    (store / "files" / "md5" / name[:2] / name[2:]).write_bytes(leading_out(store))


def is_another_file(store: Path) -> None:
    """A file of an output, replaced under its name."""
    name = hashlib.md5(b"rows\n").hexdigest()
    (store / "files" / "md5" / name[:2] / name[2:]).chmod(0o644)
    (store / "files" / "md5" / name[:2] / name[2:]).write_bytes(EVIL)


FORGERIES = (
    names_another_output,
    names_another_output_and_itself,
    has_another_name,
    lists_a_file_outside,
    is_another_listing,
    is_another_file,
)


def files(folder: Path) -> dict[str, bytes]:
    """The files that a person sees in a checkout: no .git, no .dvc, nothing that was there from the start."""
    found = (path for path in folder.rglob("*") if path.is_file())
    inside = {str(path.relative_to(folder)): path.read_bytes() for path in found}
    given = (".git", ".dvc", "in", "dvc.yaml", "dvc.lock")
    return {name: content for name, content in inside.items() if not name.startswith(given)}


@pytest.mark.parametrize("lock", [False, True], ids=["by the record of runs", "by dvc.lock"])
def test_what_a_stage_wrote_elsewhere_is_taken(clone: Path, made: Path, lock: bool) -> None:
    if lock:
        shutil.copy(made / "ran" / "dvc.lock", clone)
    assert transfer("pull", clone) == "dvc pull from 'store': done; stages that ran before: 2"
    assert files(clone) == {"outputs/rows/a": b"rows\n", "outputs/model": b"rows\n"}


@pytest.mark.parametrize("lock", [False, True], ids=["by the record of runs", "by dvc.lock"])
@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_remote_puts_nothing_anywhere(
    clone: Path, store: Path, made: Path, forge: Callable[[Path], None], lock: bool
) -> None:
    forge(store)
    if lock:
        shutil.copy(made / "ran" / "dvc.lock", clone)
    said = transfer("pull", clone)
    assert set(files(clone)) <= {"outputs/rows/a", "outputs/model"}
    assert set(files(clone).values()) <= {b"rows\n"}
    if not lock:
        assert "stages that ran before: 0" in said
        assert said.count("\nnot taken, it is not what its name promises: ") == 1


@pytest.mark.parametrize("forge", FORGERIES[:4])
def test_what_dvc_itself_brought_is_removed_before_a_stage_reads_it(
    clone: Path, store: Path, forge: Callable[[Path], None]
) -> None:
    forge(store)
    with Repo(str(clone)) as repo:
        repo.stage_cache.pull(None)  # dvc pull --run-cache
        if forge is lists_a_file_outside:
            entry = load_yaml(entry_of(store, "outputs/rows"))["outs"][0]["md5"]
            target = Path(repo.cache.local.oid_to_path(entry))
            target.parent.mkdir(parents=True)
            shutil.copy(store / "files" / "md5" / entry[:2] / entry[2:], target)
    assert len(vet(clone)) == 1
    assert vet(clone) == []
    reproduce(clone)
    assert files(clone) == {"outputs/rows/a": b"rows\n", "outputs/model": b"rows\n"}


def test_a_checkout_asks_no_remote_for_the_listing_of_a_folder(clone: Path, store: Path, made: Path) -> None:
    is_another_listing(store)
    shutil.copy(made / "ran" / "dvc.lock", clone)
    with Repo(str(clone)) as repo:
        repo.cloud.pull({one for stage in repo.index.stages for one in _hashes(stage)})
        name = load_yaml(entry_of(store, "outputs/rows"))["outs"][0]["md5"]
        Path(repo.cache.local.oid_to_path(name)).unlink(missing_ok=True)
    with open_repository(clone) as repo:
        check_out(repo)
    assert "pyarrow.py" not in files(clone)


def _hashes(stage) -> set:
    return {one for found in stage.get_used_objs(force=True).values() for one in found}


@pytest.fixture
def worn(made: Path, tmp_path: Path) -> Path:
    """A repository that ran, with fifty old entries in its cache, and an empty remote."""
    shutil.copytree(made / "ran", tmp_path / "worn")
    with Repo(str(tmp_path / "worn")) as repo:
        with repo.config.edit("repo") as settings:
            settings["remote"]["store"]["url"] = os.path.relpath(tmp_path / "empty")
        runs = Path(repo.cache.legacy.path, "runs")
    entry = load_yaml(next(runs.glob("*/*/*")))
    for number in range(50):
        entry["deps"][0]["md5"] = f"{number:032d}"
        key, name = _get_cache_hash(copy.deepcopy(entry), key=True), _get_cache_hash(copy.deepcopy(entry))
        (runs / key[:2] / key).mkdir(parents=True)
        dump_yaml(runs / key[:2] / key / name, entry)
    return tmp_path / "worn"


def test_a_push_copies_the_entries_of_the_stages_here_and_none_twice(worn: Path, tmp_path: Path) -> None:
    assert transfer("push", worn).endswith("new entries of the record of runs: 2")
    pushed = {path: path.stat().st_mtime_ns for path in (tmp_path / "empty").rglob("*") if path.is_file()}
    assert len([path for path in pushed if "runs" in path.parts]) == 2
    assert transfer("push", worn).endswith("new entries of the record of runs: 0")
    assert pushed == {path: path.stat().st_mtime_ns for path in (tmp_path / "empty").rglob("*") if path.is_file()}


def test_a_push_of_some_stages_leaves_the_others_out(worn: Path, tmp_path: Path) -> None:
    assert transfer("push", worn, {"rows"}).endswith("new entries of the record of runs: 1")
    assert entry_of(tmp_path / "empty", "outputs/rows")


def test_an_entry_is_not_pushed_without_the_outputs_that_it_names(worn: Path, tmp_path: Path) -> None:
    with Repo(str(worn)) as repo:
        Path(repo.cache.local.oid_to_path(hashlib.md5(b"rows\n").hexdigest())).unlink()
    assert transfer("push", worn).endswith("new entries of the record of runs: 0")


def test_a_pull_fetches_only_entries_that_a_stage_asks_for(worn: Path, clone: Path, store: Path) -> None:
    shutil.copytree(worn / ".dvc" / "cache" / "runs", store / "runs", dirs_exist_ok=True)
    assert "stages that ran before: 2" in transfer("pull", clone)
    assert len([path for path in (clone / ".dvc" / "cache" / "runs").rglob("*") if path.is_file()]) == 2


def test_a_remote_that_is_not_there_is_an_error_in_words(worn: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("a file\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^dvc push with the remote 'store' failed:\n"):
        transfer("push", worn)
