"""The records of a stage on the choice of its network."""

from pathlib import Path

import pytest

from outputs import output_folder
from records.trained import CurriculumMetrics, Epochs, MultiTaskMetrics, SearchRecord, Updates
from reporting.chosen import how_chosen, points_of
from tests.fake_outputs import student_metrics, write_record, write_run

SEARCH = SearchRecord(points=4, chosen=1, tried=())


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(method: str, seed: int, params: dict[str, object], **metrics: object) -> None:
    folder, updates = Path(f"outputs/student/rte/{method}/{seed}"), Updates(student=2, teacher=0)
    write_run(folder, "student", 1.0, method=method, params=params)
    write_record(folder, student_metrics(updates, **metrics))


def went_on(stage: str, method: str, seed: int, params: dict[str, object]) -> None:
    """A student that began with the weights of another."""
    folder = output_folder(stage, dataset="rte", method=method, seed=seed)
    write_run(folder, stage, 1.0, method=method, params=params)
    found = {
        "best_episode": 1,
        "selection": {},
        "selected_on": "selection",
        "parameters": 1,
        "updates": Updates(student=2, teacher=0),
    }
    shares = {"sampler": "policy", "reward": "gain", "cumulative_share": {}}
    consecutive = {"similarity_of_consecutive": (), "distance_of_consecutive": ()}
    kind = CurriculumMetrics if stage == "curriculum" else MultiTaskMetrics
    write_record(folder, kind.model_validate(found | (shares | consecutive if stage == "curriculum" else {})))


def test_rule_points_and_epochs_are_read() -> None:
    trained("kd", 1, {"selected_by": "metric"}, search=SEARCH, epochs=Epochs(run=3, asked=8))
    found = how_chosen("rte", "kd", 1)
    assert found.by.startswith("the primary metric")
    assert (found.points, found.epochs, found.asked) == (4, 3, 8)


def test_what_older_records_do_not_say_is_as_it_was() -> None:
    trained("kd", 1, {})
    found = how_chosen("rte", "kd", 1)
    assert (found.by, found.points, found.epochs) == ("the mean task loss", 1, None)


def test_a_student_that_went_on_has_the_points_of_its_base() -> None:
    trained("kd", 1, {}, search=SEARCH)
    went_on("curriculum", "mpdistil", 1, {"mpdistil": {"base": "kd"}})
    went_on("multi_task", "kd", 1, {})
    trained("finetune", 1, {})
    methods = ("finetune", "kd", "kd_multi", "mpdistil", "never_run")
    assert points_of(["rte"], methods, [1]) == {"kd": 4, "kd_multi": 4, "mpdistil": 4}
