"""A registry whose files are no longer where it says: moved, copied, deleted in part or whole."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_students import empty_registry
from mlflow import MlflowClient
from small_outputs import NAME, Place
from stages import run_stage_here

from registry import names, pull, registered_locks

pytestmark = pytest.mark.xdist_group("registry")


@dataclass
class Whole:
    """A place with one registration, and its registry's folder: the database and the files beside it."""

    place: Place
    folder: Path

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.place.address, self.place.address)

    def file(self, name: str, version: str = "1") -> Path:
        """A file of a version's model or, if it begins so, of its evidence."""
        if name.startswith(names.EVIDENCE):
            run = self.client.get_run(self.client.get_model_version(NAME, version).run_id or "")
            return Path(run.info.artifact_uri or "") / name
        return Path(self.client.get_model_version_download_uri(NAME, version)) / name

    def register(self) -> tuple[str, str]:
        """(last line of stdout, stderr) of a registration."""
        ended = self.place.register()
        assert ended.status == 0, ended.errors
        return ended.output.splitlines()[-1], ended.errors

    def aliases(self) -> dict[str, int]:
        found = self.client.get_registered_model(NAME).aliases
        return {alias: int(number) for alias, number in found.items()}


@pytest.fixture
def whole(registered_outputs: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Whole:
    """A copy of a registration, with its registry: both have been moved here."""
    old = Path(registered_outputs.address.removeprefix("sqlite:///")).parent
    folder = tmp_path / "a registry, moved"
    shutil.copytree(old, folder)
    shutil.copytree(registered_outputs.root, tmp_path / "a place")
    place = Place(tmp_path / "a place", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.address)
    return Whole(place, folder)


def test_a_registry_that_was_moved_is_whole_after_its_paths_were_corrected_once(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    said, errors = whole.register()
    assert "0 new of 1 students" in said
    assert "was moved or copied here from" in errors and "paths in it are corrected" in errors
    assert whole.file("MLmodel").is_relative_to(whole.folder)
    assert whole.file("evidence/params.yaml").is_relative_to(whole.folder)
    assert whole.register()[1] == ""
    assert pull.main([f"{NAME}@champion", "--to", str(whole.folder / "pulled")]) == 0
    assert "corrected" not in capsys.readouterr().err


def test_what_is_registered_in_a_copy_does_not_go_into_the_original(whole: Whole) -> None:
    whole.place.another_seed(7)
    whole.place.params(seeds=[42, 7])
    whole.register()
    assert whole.file("MLmodel", "2").is_relative_to(whole.folder)


def test_a_registration_whose_files_were_all_deleted_is_made_again(whole: Whole) -> None:
    whole.register()
    shutil.rmtree(whole.folder / "artifacts")
    said, errors = whole.register()
    assert "1 new of 1 students" in said
    assert f"version 1 of {NAME} has lost files in {whole.folder}" in errors
    assert "registered again" in errors
    assert whole.aliases() == {"candidate": 2, "champion": 2}
    assert pull.main([f"{NAME}@champion", "--to", str(whole.folder / "pulled")]) == 0
    lost, again = (whole.client.get_model_version(NAME, number) for number in "12")
    assert names.LOST in lost.tags and "Files: gone since" in (lost.description or "")
    assert again.tags["gate"] == lost.tags["gate"]
    assert "0 new of 1 students" in whole.register()[0]
    assert registered_locks.fetch(whole.folder / "kept")[0] == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("artifacts/student/model.safetensors", truncate),
        ("evidence/predictions.parquet", Path.unlink),
    ],
)
def test_a_single_file_that_is_gone_or_cut_off_is_seen_also_where_nothing_else_changed(
    whole: Whole, name: str, damage: Callable[[Path], None]
) -> None:
    whole.register()
    assert whole.register()[0].startswith("register: 0 new of 1 students")
    damage(whole.file(name))
    said, errors = whole.register()
    assert "1 new of 1 students" in said
    assert name in errors
    assert whole.aliases() == {"candidate": 2, "champion": 2}


def test_a_champion_set_by_hand_is_still_held_by_hand_after_its_files_were_lost(whole: Whole) -> None:
    whole.place.another_seed(7, selection=-0.1, rows=-0.1)
    whole.place.params(seeds=[42, 7])
    whole.register()
    assert whole.aliases() == {"candidate": 2, "champion": 2}
    assert run_stage_here(whole.place.root, "promote", NAME, "1", "--reason", "2 fails on long texts").status == 0
    shutil.rmtree(whole.folder / "artifacts")
    whole.register()
    assert whole.aliases() == {"candidate": 4, "champion": 3}
    assert "set by hand (the same student as version 1, whose files are gone)" in whole.place.entry(7)["gate"]
    ended = run_stage_here(whole.place.root, "promote", NAME, "2", "--reason", "back")
    assert ended.status == 2
    assert "version 2 can't be pulled: MLmodel is gone; choose another version" in ended.errors


def test_a_champion_that_is_gone_with_its_student_is_told(whole: Whole) -> None:
    whole.register()
    whole.place.another_seed(7, selection=0.1, rows=0.1)
    whole.place.params(seeds=[7])
    shutil.rmtree(whole.folder / "artifacts")
    _, errors = whole.register()
    assert whole.aliases() == {"candidate": 2, "champion": 1}
    assert "it is the champion, and its student is not among the outputs" in errors
    assert f"python -m flows promote {NAME} VERSION" in errors


def test_files_without_their_database_are_no_obstacle(whole: Whole, tmp_path: Path) -> None:
    empty_registry(tmp_path / "new")
    (tmp_path / "new" / "mlflow.db").rename(whole.folder / "mlflow-new.db")
    fresh = Whole(Place(whole.place.root, f"sqlite:///{whole.folder / 'mlflow-new.db'}"), whole.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", fresh.place.address)
        assert "1 new of 1 students" in fresh.register()[0]
        assert fresh.file("MLmodel").is_file()
