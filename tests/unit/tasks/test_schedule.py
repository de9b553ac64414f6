"""A student along its teacher's epochs: the record has each one's share, and unequal shares are said."""

import json
from pathlib import Path

import pytest
from stages import ROOT, run_stage_here, write_params

ONE = ("--dataset", "standing", "--seed", "42")


def params(folder: Path, epochs: int) -> None:
    write_params(
        folder,
        datasets=["standing"],
        methods=["prokd"],
        teacher={"epochs": 2, "trajectory": True},
        student={"epochs": epochs},
        prokd={"label_share": 0.3},
    )


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher of two epochs."""
    folder = tmp_path_factory.mktemp("schedule")
    for name in ("data", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    params(folder, 3)
    for stage, options in (("source", ONE[:2]), ("split", ONE[:2]), ("teacher", ONE), ("signals", ONE)):
        ended = run_stage_here(folder, stage, *options)
        assert ended.status == 0, ended.errors
    return folder


@pytest.mark.parametrize(("epochs", "shares", "said"), [(3, [1, 1, 1], False), (4, [1, 2, 1], True)])
def test_the_epochs_of_each_phase_are_in_the_record(taught: Path, epochs: int, shares: list[int], said: bool) -> None:
    params(taught, epochs)
    ended = run_stage_here(taught, "student", *ONE, "--method", "prokd")
    assert ended.status == 0, ended.errors
    record = json.loads((taught / "outputs/student/standing/prokd/42/metrics.json").read_text(encoding="utf-8"))
    assert [part["phase"] for part in record["schedule"]] == ["teacher epoch 1", "teacher epoch 2", "labels"]
    assert [part["epochs"] for part in record["schedule"]] == shares
    assert ("3 epochs along 2 of the teacher's: 1 to 2 for each" in ended.errors) is said
