"""The evidence as it is read from what evaluate leaves: rows matched by id and label, and what is said where some is missing."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from reporting.verdict.dev_rows import IS_FINETUNE, NOT_A_METHOD, NOT_EVALUATED, DevRows, read_dev_rows

METRICS = {
    **{"selection": {}, "teacher_selection": {}, "dev": {}, "teacher_dev": {}, "rows": {"selection": 1, "dev": 2}},
    "selected_on": "selection",
    "constant": 1.0,
    "majority_dev": 0.5,
    "parameters": {"student": 10, "teacher": 20},
    "size_bytes": {"student": 40, "teacher": 80},
    "latency_ms": {
        **{"student": {"p50": 1.5, "p95": 2.0}, "teacher": {"p50": 3.0, "p95": 4.0}},
        **{"batch": 1, "length": 8, "threads": 1, "repeats": 3},
    },
}


def write(method: str, rows: list[tuple[str, str, float, float]], **more: object) -> None:
    """Leave what evaluate does: (set, row id, label, the student's logit of class 1)."""
    folder = Path("outputs", "evaluate", "mine", method, "42")
    folder.mkdir(parents=True)
    names, ids, labels, logits = zip(*rows, strict=True)
    pairs = [[0.0, logit] for logit in logits]
    content = {"set": names, "row_id": ids, "label": labels, "student_logits": pairs, "teacher_logits": pairs}
    parquet.write_table(pa.table({key: list(value) for key, value in content.items()}), folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(METRICS | more))


def read(method: str = "kd", methods: tuple[str, ...] = ("finetune", "kd")) -> DevRows:
    return read_dev_rows("mine", method, 42, metric="accuracy", kind="single", methods=methods)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


ROWS = [("selection", "1", 0.0, 9.0), ("dev", "1", 0.0, -1.0), ("dev", "2", 1.0, 2.0)]


def test_dev_rows_alone_are_read_and_finetunes_are_put_in_their_order() -> None:
    write("kd", ROWS)
    write("finetune", [ROWS[0], ("dev", "2", 1.0, 5.0), ("dev", "1", 0.0, 4.0)])
    rows = read()
    assert rows.labels.tolist() == [0, 1] and rows.labels.dtype == np.int64
    assert rows.student[:, 1].tolist() == [-1.0, 2.0]
    assert rows.finetune is not None and rows.finetune[:, 1].tolist() == [4.0, 5.0]
    assert (rows.constant, rows.parameters, rows.latency_ms) == (1.0, 10, 1.5)
    assert rows.constants.tolist() == [[0.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "other", [None, [("dev", "1", 1.0, 4.0), ("dev", "2", 1.0, 5.0)]], ids=["none", "other labels"]
)
def test_a_fine_tuned_student_that_was_not_evaluated_on_these_rows_is_missed(other: list | None) -> None:
    write("kd", ROWS)
    if other:
        write("finetune", other)
    assert (read().finetune, read().no_finetune) == (None, NOT_EVALUATED)


def test_finetune_is_not_looked_for_where_it_is_no_method_or_the_student_itself() -> None:
    write("kd", ROWS)
    write("finetune", ROWS)
    assert (read(methods=("kd",)).finetune, read(methods=("kd",)).no_finetune) == (None, NOT_A_METHOD)
    assert (read("finetune").finetune, read("finetune").no_finetune) == (None, IS_FINETUNE)


def test_a_metrics_json_without_the_constant_is_refused_with_the_way_out() -> None:
    write("kd", ROWS, constant=None)
    with pytest.raises(ValueError, match="no number at 'constant'; run evaluate again"):
        read()
