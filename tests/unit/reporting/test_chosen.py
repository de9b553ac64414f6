"""What the records of a stage say about how its network was chosen."""

from pathlib import Path

import pytest
from fake_outputs import write_json

from reporting.chosen import how_chosen, points_of


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(method: str, seed: int, params: dict[str, object], **metrics: object) -> None:
    folder = Path(f"outputs/student/rte/{method}/{seed}")
    write_json(folder / "run.json", {"params": params})
    write_json(folder / "metrics.json", metrics)


def test_rule_points_and_epochs_are_read() -> None:
    trained("kd", 1, {"selected_by": "metric"}, search={"points": 4}, epochs={"run": 3, "asked": 8})
    found = how_chosen("rte", "kd", 1)
    assert found.by.startswith("the headline metric")
    assert (found.points, found.epochs, found.asked) == (4, 3, 8)


def test_what_older_records_do_not_say_is_as_it_was() -> None:
    trained("kd", 1, {})
    found = how_chosen("rte", "kd", 1)
    assert (found.by, found.points, found.epochs) == ("the mean task loss", 1, None)


def test_a_student_that_went_on_has_the_points_of_its_base() -> None:
    trained("kd", 1, {}, search={"points": 4})
    trained("mpdistil", 1, {"mpdistil": {"base": "kd"}})
    trained("kd_multi", 1, {})
    trained("finetune", 1, {})
    methods = ("finetune", "kd", "kd_multi", "mpdistil", "never_run")
    assert points_of(["rte"], methods, [1]) == {"kd": 4, "kd_multi": 4, "mpdistil": 4}
