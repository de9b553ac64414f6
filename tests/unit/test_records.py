"""Records as they are written and read: the same values, and one clear error for a file that is damaged or of another release."""

import json
from pathlib import Path
from typing import Any

import pytest

from checksums import sums_for_record
from errors import UserError
from outputs import json_text, read_if_whole, read_record, read_rows, rows_text
from records.base import Record
from records.evaluated import EvaluateMetrics
from records.stage_run import PastRun, RunRecord
from records.trained import CurveRow, EpisodeRow, StudentMetrics, TeacherMetrics, Updates
from tests.fake_outputs import student_metrics, write_run

FOLDER = Path("outputs/student/rte/kd/1")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)


def write(record: Record, **changes: Any) -> Path:
    """A record's file with other values; None takes a field away."""
    content = {key: value for key, value in (record.tree() | changes).items() if value is not None}
    path = FOLDER / record.FILE
    path.write_text(json_text(content), encoding="utf-8")
    return path


def metrics() -> StudentMetrics:
    return student_metrics(Updates(student=3, student_kept=2, teacher=0), train_rows=8)


def test_a_record_is_read_as_it_was_written_and_what_is_not_set_is_not_in_its_file() -> None:
    path = write(metrics())
    assert read_record(StudentMetrics, FOLDER) == metrics()
    assert not {"search", "schedule", "epochs"} & json.loads(path.read_text()).keys()


def test_a_null_that_says_something_is_written() -> None:
    write_run(FOLDER, "source", 1.0)
    assert {"dataset": None, "seed": None}.items() <= json.loads((FOLDER / "run.json").read_text()).items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": None}, "field parameters: Field required"),
        ({"parameters": "many"}, "field parameters: Input should be a valid integer"),
        ({"updates": {"student": 1.5, "teacher": 0}}, "field updates.student: "),
        ({"updates": {"student": 1, "teacher": 0, "peer": 1}}, "field updates.peer: Extra inputs are not permitted"),
        ({"selected_on": "test"}, "field selected_on: Input should be 'selection' or 'dev'"),
        ({"accuracy": 0.5}, "field accuracy: Extra inputs are not permitted"),
    ],
)
def test_a_record_of_another_form_is_one_error_with_file_field_and_way_out(changes: dict, said: str) -> None:
    path = write(metrics(), **changes)
    with pytest.raises(UserError) as error:
        read_record(StudentMetrics, FOLDER)
    text = str(error.value)
    assert text.startswith(f"{path}: {said}"), text
    assert text.endswith(f"damaged, or of another release; delete {FOLDER} and run `dvc repro`")
    assert "\n" not in text


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b'{"selection": {"loss": 1,}}'])
def test_what_is_no_json_is_named(content: bytes) -> None:
    (FOLDER / "metrics.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^outputs/student/rte/kd/1/metrics.json: not valid JSON .* run `dvc repro`$"):
        read_record(StudentMetrics, FOLDER)


def test_a_list_is_no_record() -> None:
    (FOLDER / "metrics.json").write_text("[]")
    with pytest.raises(UserError, match="Input should be an object"):
        read_record(TeacherMetrics, FOLDER)


def test_a_missing_record_and_one_that_its_stage_did_not_write_are_named() -> None:
    with pytest.raises(UserError, match=r"metrics.json: missing, but params.yaml asks for it; run `dvc repro`"):
        read_record(StudentMetrics, FOLDER)
    path = write(metrics())
    write_run(FOLDER, "student", 1.0)
    run = json.loads((FOLDER / "run.json").read_text())
    (FOLDER / "run.json").write_text(json.dumps(run | {"files": sums_for_record(FOLDER)}))
    assert read_record(StudentMetrics, FOLDER) == metrics()
    path.write_text(path.read_text().replace("812.0", "813.0"))
    with pytest.raises(UserError, match=r"metrics.json: damaged, its bytes are not those that its stage wrote"):
        read_record(StudentMetrics, FOLDER)


def test_of_a_run_of_any_release_what_is_asked_before_it_runs_again_is_read() -> None:
    assert read_if_whole(PastRun, FOLDER / "run.json") is None
    (FOLDER / "run.json").write_text('{"duration_s": 3, "sections": ["teacher"]}')
    past = read_if_whole(PastRun, FOLDER / "run.json")
    assert past is not None and (past.duration_s, past.code, past.files) == (3.0, None, None)
    with pytest.raises(UserError, match=r"run.json: field stage: Field required"):
        read_record(RunRecord, FOLDER)


def test_evaluations_of_earlier_releases_are_read() -> None:
    """The registry holds their metrics.json; they had neither `constant` nor memory, throughput and rows that were cut."""
    scores = {"loss": 0.5, "accuracy": 0.75}
    latency = {who: {"p50": 1.5, "p95": 2.0} for who in ("student", "teacher")}
    content = {
        **dict.fromkeys(("selection", "teacher_selection", "dev", "teacher_dev"), scores),
        "rows": {"selection": 4, "dev": 4},
        "selected_on": "selection",
        "majority_dev": None,
        "parameters": {"student": 1, "teacher": 2},
        "size_bytes": {"student": 4, "teacher": 8},
        "latency_ms": {**latency, "batch": 1, "length": 8, "threads": 1, "repeats": 3},
    }
    (FOLDER / "metrics.json").write_text(json.dumps(content))
    found = read_record(EvaluateMetrics, FOLDER)
    assert (found.constant, found.throughput, found.memory_bytes, found.truncated) == (None, None, None, None)
    assert found.scores == dict.fromkeys(("selection", "teacher_selection", "dev", "teacher_dev"), scores)
    assert found.tree() == content


def test_rows_keep_their_order_and_numbers_and_a_broken_line_is_named() -> None:
    rows = [{"epoch": 1, "train_soft": 0.5, "selection_loss": 1, "best": 0}, {"epoch": 2.0, "best": 1}]
    text = rows_text(CurveRow, rows)
    assert text == "".join(json.dumps(row) + "\n" for row in rows)
    (FOLDER / CurveRow.FILE).write_text(text)
    assert [row.numbers for row in read_rows(CurveRow, FOLDER)] == rows
    (FOLDER / CurveRow.FILE).write_text(text + '{"epoch": 3, "best"')
    with pytest.raises(UserError, match=r"curves.jsonl: not valid JSON"):
        read_rows(CurveRow, FOLDER)


def test_an_episode_has_selection_scores_and_shares_and_the_student_that_came_in_no_share() -> None:
    first = EpisodeRow.model_validate(
        {"episode": 0, "best": 0, "reward": None, "share_rte": None, "selection_loss": 0.5}
    )
    assert (first.selection, first.shares, first.reward) == ({"loss": 0.5}, {}, None)
    row = {"episode": 1, "best": 1, "reward": 0.1, "share_rte": 0.25, "selection_loss": 0.5, "selection_f1": 1}
    second = EpisodeRow.model_validate(row)
    assert (second.selection, second.shares, second.reward) == ({"loss": 0.5, "f1": 1.0}, {"rte": 0.25}, 0.1)


def test_nan_is_not_written_and_its_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"^scores\.teacher\[1\]\.loss is nan$"):
        json_text({"epochs": 3, "scores": {"teacher": [{"loss": 0.5}, {"loss": float("nan")}]}})
    with pytest.raises(ValueError, match=r"^train_loss is inf$"):
        rows_text(CurveRow, [{"epoch": 1, "train_loss": float("inf")}])
