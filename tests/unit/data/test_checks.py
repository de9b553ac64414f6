"""Raw rows and raw files: every problem names file, row, field and value, and nothing but UserError ever comes out."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import CHOICE, PAIR, SCORE, SINGLE, checked, spec_of

from data.problems import Problems
from data.raw_files import read_raw
from errors import UserError


def refusal(description: dict, rows: list[dict], split: str = "train", **more: object) -> str:
    with pytest.raises(UserError) as caught:
        checked(spec_of(description, **more), rows, split)
    return str(caught.value)


def read(path: Path) -> list:
    problems = Problems("made")
    rows = list(read_raw(path, problems))
    problems.raise_if_any()
    return rows


def test_labels_may_be_names_integers_or_digits() -> None:
    rows = [{"text": "t", "label": label} for label in ("good", 1, "1", 1.0, "bad")]
    assert [row.label for row in checked(spec_of(SINGLE), rows)] == [1, 1, 1, 1, 0]
    signed = spec_of(SINGLE, labels=["+1", "-1"])
    assert [row.label for row in checked(signed, [{"text": "t", "label": label} for label in (1, -1, "+1")])] == [
        0,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("labels", "true", "more"),
    [
        (["True", "False"], 0, {}),
        (["false", "true"], 1, {}),
        (["TRUE", "unknown", "FALSE"], 0, {}),
        ([1, 0], 0, {}),
        ([0, 1], 1, {}),
        (["yes", "no"], 0, {"true_label": "yes"}),
        (["yes", "no"], 1, {"true_label": "no"}),
    ],
)
def test_a_boolean_is_the_class_of_its_name(labels: list, true: int, more: dict) -> None:
    spec = spec_of(SINGLE, labels=labels, **more)
    found = [row.label for row in checked(spec, [{"text": "t", "label": label} for label in (True, False)])]
    names = [str(labels[int(label)]).lower() for label in found]
    assert found[0] == true
    assert found[1] != true
    assert more or names in (["true", "false"], ["1", "0"])


def test_a_boolean_that_no_name_says_is_refused_and_not_taken_by_position() -> None:
    for labels in (["yes", "no"], ["bad", "good"], ["true", "True"], [1, 2]):
        for value in (True, False):
            message = refusal(SINGLE, [{"text": "t", "label": value}], labels=labels)
            assert f"field 'label' is {value}; must be one of" in message and "true_label" in message
    with pytest.raises(UserError, match=r"true_label.*must be one of two 'labels'"):
        spec_of(SINGLE, true_label="great")


def test_names_that_are_integers_come_before_positions() -> None:
    spec = spec_of(SINGLE, labels=[1, 2, 3])
    assert [row.label for row in checked(spec, [{"text": "t", "label": label} for label in (1, "3")])] == [0, 2]
    assert "must be one of: 0 1, 1 2, 2 3" in refusal(SINGLE, [{"text": "t", "label": 0}], labels=[1, 2, 3])
    signed = spec_of(SINGLE, labels=[-1, 0, 1])
    assert [row.label for row in checked(signed, [{"text": "t", "label": label} for label in (-1, 0, 1)])] == [0, 1, 2]


def test_without_an_id_column_a_row_is_called_by_its_line() -> None:
    rows = checked(spec_of(SINGLE), [{"text": "t", "label": 0}, {"text": "u", "label": 1}])
    assert [row.id for row in rows] == ["1", "2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "t", "label": "ugly"}, "made.jsonl, row 2: field 'label' is 'ugly'; must be one of: 0 bad, 1 good"),
        ({"text": "t", "label": 2}, "row 2: field 'label' is 2"),
        ({"text": "t", "label": -1}, "-1 is legal in test only"),
        ({"text": "t", "label": float("nan")}, "field 'label' is nan"),
        ({"text": "t", "label": "1_0"}, "field 'label' is '1_0'"),
        ({"text": "t"}, "row 2: field 'label' is missing"),
        ({"label": 1}, "row 2: field 'text' is missing"),
        ({"text": "  ", "label": 1}, "field 'text' is '  '; must not be empty"),
        ({"text": 7, "label": 1}, "field 'text' is 7; must be text, not int"),
        ({"text": "\ud800", "label": 1}, "not valid Unicode"),
    ],
)
def test_a_bad_row_is_named_with_field_value_and_what_is_allowed(row: dict, message: str) -> None:
    assert message in refusal(SINGLE, [{"text": "fine", "label": 0}, row])


def test_unlabelled_rows_are_legal_in_test_only() -> None:
    rows = [{"text": "t", "label": -1}, {"text": "u"}, {"text": "v", "label": ""}]
    assert [row.label for row in checked(spec_of(SINGLE), rows, "test")] == [-1, -1, -1]
    score = [{"first": "a", "second": "b", "label": -1.0}]
    assert checked(spec_of(SCORE), score, "test")[0].label == -1
    assert "must be a number from 0 to 5" in refusal(SCORE, score)


def test_a_score_outside_its_range_is_refused() -> None:
    assert "is 5.5; must be a number from 0 to 5" in refusal(SCORE, [{"first": "a", "second": "b", "label": 5.5}])
    assert checked(spec_of(SCORE), [{"first": "a", "second": "b", "label": "3.8"}])[0].label == 3.8


def test_ids_are_unique_within_a_file() -> None:
    message = refusal(SINGLE, [{"text": "t", "label": 0, "id": 4}, {"text": "u", "label": 1, "id": 4}], id="id")
    assert "row 2: field 'id' is '4', the id of row 1, too" in message


def test_a_column_that_no_row_has_is_said_once_with_the_nearest() -> None:
    message = refusal(SINGLE, [{"texts": "t", "label": 0}] * 50)
    assert "1 problem" in message and "'text' is missing in all 50 rows; did you mean 'texts'?" in message


def test_twenty_problems_are_shown_and_the_rest_counted() -> None:
    message = refusal(SINGLE, [{"text": "", "label": 5}] * 30)
    assert "60 problems" in message and message.count("\n") == 21 and "and 40 more" in message


def test_a_file_without_rows_is_an_error() -> None:
    assert "holds no rows" in refusal(SINGLE, [])


def test_a_wrong_connective_is_found_by_rendering_the_row() -> None:
    row = {"premise": "p", "one": "a", "two": "b", "question": "when", "label": 0}
    assert "row 1: field 'question' must be one of" in refusal(CHOICE, [row])


def test_broken_json_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\n[1]\n{"a": "\xff"}\n' + b"[" * 100_000 + b"\n")
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert "row 2: is not valid JSON" in message and "row 4: must be a JSON object" in message
    assert "row 5: byte 7 is not UTF-8" in message and "row 6: is not valid JSON" in message


def test_a_unicode_line_separator_does_not_end_a_json_line(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"a": "x\u2028y"}\n', encoding="utf-8")
    assert read(tmp_path / "train.jsonl") == [(1, {"a": "x\u2028y"})]


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-12], b"\x1f\x8b"])
def test_a_broken_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.jsonl.gz").write_bytes(content)
    if content == b"":
        assert read(tmp_path / "train.jsonl.gz") == []  # an empty file has no rows: the row check says so
        return
    with pytest.raises(UserError, match=r"train.jsonl.gz: is not a complete gzip file"):
        read(tmp_path / "train.jsonl.gz")


def test_csv_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"one, ""two""\nthree",1\r\nfour,0\r\n')
    assert [row for _, row in read(path)] == [
        {"text": 'one, "two"\nthree', "label": "1"},
        {"text": "four", "label": "0"},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3\n", "row 3: has 1 fields; the header has 2"),
        (b"a,b\n1,\xff\n", "row 2: holds a byte that is not UTF-8"),
        (b'a,b\n"x"y,2\n', "row 2: is not valid CSV"),
        (b"a,a\n1,2\n", "row 1: repeats a column"),
    ],
)
def test_a_broken_csv_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "train.csv")


def test_broken_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"not a readable \.parquet"):
        read(tmp_path / "train.parquet")
    damaged = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    pq.write_table(pa.table({"text": damaged}), tmp_path / "damaged.parquet")
    with pytest.raises(UserError, match=r"not a readable \.parquet"):
        read(tmp_path / "damaged.parquet")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers())
COLUMNS = st.sampled_from(["text", "label", "first", "second", "premise", "one", "two", "question", "id", "x"])
ROWS = st.lists(st.dictionaries(COLUMNS, SCALARS, max_size=6), max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([SINGLE, PAIR, CHOICE, SCORE]), ROWS, st.sampled_from(["train", "test"]), st.booleans())
def test_wild_rows_are_right_or_a_data_error(description: dict, rows: list[dict], split: str, with_id: bool) -> None:
    spec = spec_of(description, **({"id": "id"} if with_id else {}))
    try:
        found = checked(spec, rows, split)
    except UserError as error:
        assert str(error).isprintable() or "\n" in str(error)
        return
    assert all((row.texts(spec) and 0 <= row.label < 6) or split == "test" for row in found)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["train.jsonl", "train.csv", "train.jsonl.gz", "train.parquet"]))
def test_wild_bytes_are_rows_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("wild") / name
    path.write_bytes(content)
    try:
        assert isinstance(read(path), list)
    except UserError as error:
        assert name in str(error)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1).filter(str.strip).filter(lambda text: "\0" not in text), min_size=1, max_size=5))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("texts") / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": 0}) + "\n" for text in texts), encoding="utf-8")
    rows = checked(spec_of(SINGLE), [row for _, row in read(path)])
    assert [row.fields["text"] for row in rows] == texts
