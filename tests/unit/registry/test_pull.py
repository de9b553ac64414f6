"""`python -m registry.pull`: a folder whole or not at all, and one clear line where that can't be."""

import re
import shutil
import time
from pathlib import Path

import pytest
from made_students import PAIR, empty_registry, make_student, register_student
from transformers import AutoModelForSequenceClassification

from registry import pull
from registry.model_ref import is_pulled

pytestmark = pytest.mark.xdist_group("students")
NAME = "own-payment-mpdistil"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A registry with two versions of a model, the second one its champion."""
    folder = tmp_path_factory.mktemp("a registry")
    student = make_student(folder / "student", PAIR)
    address = empty_registry(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        for aliases in ([], ["champion", "candidate"]):
            register_student(NAME, student.student, student.tokens, folder / "artifacts", aliases=aliases)
    return folder, address


@pytest.fixture(autouse=True)
def here(made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and the registry's address set."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a refusal says."""
    assert pull.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1, output.err
    return output.err


@pytest.mark.parametrize("model", [f"{NAME}@champion", f"models:/{NAME}@candidate", f"{NAME}/2", f"models:/{NAME}/2"])
def test_every_way_to_name_a_version_pulls_it(model: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pull.main([model, "--to", "a student"]) == 0
    assert AutoModelForSequenceClassification.from_pretrained(here / "a student/artifacts/student").num_labels == 3
    said = capsys.readouterr().out
    assert said.startswith(f"pulled {NAME} version 2 (candidate, champion) into a student\n")
    assert "Hugging Face folder: a student/artifacts/student\n" in said
    assert "python -m flows score 'a student' FILE" in said
    assert [path.name for path in here.iterdir()] == ["a student"]


def test_without_a_folder_it_goes_under_outputs(here: Path) -> None:
    assert pull.main([f"{NAME}/1"]) == 0
    assert is_pulled(here / "outputs" / "pulled" / f"{NAME}-v1")


def test_a_folder_that_holds_anything_else_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "photos").mkdir()
    (here / "photos/cat.png").write_bytes(b"cat")
    for options in ((), ("--force",)):
        assert "contains other files" in refused(capsys, f"{NAME}/1", "--to", "photos", *options)
    assert "is a file; name a new or empty folder" in refused(capsys, f"{NAME}/1", "--to", "photos/cat.png")
    assert (here / "photos/cat.png").read_bytes() == b"cat"


def test_a_student_that_was_pulled_before_is_replaced_only_by_force(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").mkdir()
    assert pull.main([f"{NAME}/1", "--to", "mine"]) == 0
    (here / "mine/note.txt").touch()
    capsys.readouterr()
    assert "--force replaces it" in refused(capsys, f"{NAME}/2", "--to", "mine")
    assert (here / "mine/note.txt").exists()
    assert pull.main([f"{NAME}/2", "--to", "mine", "--force"]) == 0
    assert is_pulled(here / "mine")
    assert not (here / "mine/note.txt").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("own-paymnt-mpdistil@champion", f"own-paymnt-mpdistil: no such model in .*; did you mean {NAME}"),
        (f"{NAME}@champ", f"{NAME} has no alias 'champ'; it has: candidate, champion"),
        (f"{NAME}/7", f"{NAME} has no version 7; it has: 2, 1"),
        (NAME, f"{NAME}: names no version .*; a model is NAME@ALIAS or NAME/VERSION"),
        (f"models:/{NAME}/2/x", "names no version"),
        (f"{NAME}@", "names no version"),
        ("", "names no version"),
    ],
)
def test_what_there_is_not_is_said_with_what_there_is(
    model: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(said, refused(capsys, model, "--to", "x"))
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense", "sqlite:////proc/no/x.db"])
def test_a_registry_that_does_not_answer_is_one_line_within_seconds(
    address: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    start = time.monotonic()
    place = address.removeprefix("sqlite:///").removesuffix("x.db")
    assert place in refused(capsys, f"{NAME}@champion", "--to", "x")
    assert time.monotonic() - start < 60
    assert list(here.iterdir()) == []


def test_files_that_are_gone_leave_nothing_half_written(
    made: tuple[Path, str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = made
    (here / "mine").mkdir()
    shutil.move(folder / "artifacts", folder / "moved")
    try:
        assert f"{NAME} version 1: its files are gone" in refused(capsys, f"{NAME}/1", "--to", "mine")
    finally:
        shutil.move(folder / "moved", folder / "artifacts")
    assert [path.name for path in here.iterdir()] == ["mine"]
    assert list((here / "mine").iterdir()) == []
