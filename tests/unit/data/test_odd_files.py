"""Files as people bring them: read as they mean them, or one error with a way out; never silently something else."""

import datetime
import decimal
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.description import SUFFIXES, load_spec
from data.raw_files import read_chunks
from data.records import Row
from data.sources import read_rows
from data.text_rows import READERS
from errors import UserError

LINE = '{"text": "x", "label": "a"}\n'
HEAD = "text,label\n"
FIRST, SECOND = ("x", 0), ("y", 1)


def packed(content: bytes) -> bytes:
    """A gzip file without the time: the names of the tests hold its bytes, and are the same in every worker."""
    return gzip.compress(content, mtime=0)


def brought(
    folder: Path, name: str, content: bytes | str | pa.Table, labels: str = "[a, b]", more: str = ""
) -> list[Row]:
    """The train rows of a folder that holds one file."""
    own = folder / "made"
    own.mkdir()
    (own / "dataset.yaml").write_text(f"kind: single\ntext: text\nlabels: {labels}\n{more}", encoding="utf-8")
    if isinstance(content, pa.Table):
        pq.write_table(content, own / name)
    else:
        (own / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(load_spec(folder, "own", "made"), folder).rows["train"])


def test_every_ending_has_a_reader_and_another_one_is_not_read_as_csv(tmp_path: Path) -> None:
    assert {*READERS, ".parquet"} == set(SUFFIXES)
    (tmp_path / "train.orc").write_text(HEAD + "x,a\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"train\.orc: has no reader for its name; only text files ending in \.jsonl.* are read"
    ):
        list(read_chunks(tmp_path / "train.orc", ["text"]))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_file_that_cannot_be_opened_is_named_by_its_own_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a\0b{suffix}"
    with pytest.raises(UserError, match=rf"is not a readable \{suffix} file \('embedded null byte'\)"):
        list(read_chunks(path, ["text"]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", b"\xef\xbb\xbf" + b"text,label\r\nx,a\r\ny,b\r\n"),
        ("train.csv", "text,label\rx,a\ry,b\r"),
        ("train.csv", HEAD + "x, a \ny,b\t\n"),
        ("train.csv", HEAD + "x,0.0\ny,1.0\n"),
        ("train.jsonl", LINE + "\n" + LINE.replace('"x"', '"y"').replace('"a"', '"b"').rstrip("\n")),
        ("train.jsonl.gz", packed(LINE.encode()) + packed(b'{"text": "y", "label": 1}\n')),
        ("train.parquet", pa.table({"text": pa.array(["x", "y"]).dictionary_encode(), "label": pa.array([0, 1], pa.int8())})),
        ("train.parquet", pa.table({"text": pa.array(["x", "y"], pa.large_string()), "label": pa.array([0.0, 1.0], pa.float32())})),
        ("train.parquet", pa.table({"text": pa.array(["x", "y"], pa.string_view()), "label": ["a", "b"]})),
    ],
)  # fmt: skip
def test_what_means_two_rows_is_two_rows(name: str, content: bytes | str | pa.Table, tmp_path: Path) -> None:
    assert [(row.fields["text"], row.label) for row in brought(tmp_path, name, content)] == [FIRST, SECOND]


@pytest.mark.parametrize("length", [131_072, 131_073, 1_000_000])
def test_a_field_of_a_csv_file_may_be_long(length: int, tmp_path: Path) -> None:
    text = "x," * (length // 2) + "y" * (length % 2)
    assert [row.fields["text"] for row in brought(tmp_path, "train.csv", f'{HEAD}"{text}",b\n')] == [text]


def test_a_quoted_field_keeps_its_line_ends_and_a_row_is_called_by_its_last_line(tmp_path: Path) -> None:
    rows = brought(tmp_path, "train.csv", b'text,label\r\n"x\r\n\r\nz",a\r\n')
    assert [(row.id, row.fields["text"]) for row in rows] == [("4", "x\r\n\r\nz")]


def test_an_accent_of_two_characters_is_the_label_with_one(tmp_path: Path) -> None:
    assert [row.label for row in brought(tmp_path, "train.csv", HEAD + "x,cafe\u0301\n", "[b, caf\u00e9]")] == [1]


def test_whole_numbers_over_2_to_the_53_stay_different_ids(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": "x", "label": 0, "key": 2**53 + n}) + "\n" for n in range(2))
    assert [row.id for row in brought(tmp_path, "train.jsonl", lines, more="id: key\n")] == [str(2**53), str(2**53 + 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", (HEAD + "x,a\n").encode("utf-16"), "train.csv: is UTF-16; save the file as UTF-8"),
        ("train.csv", (HEAD + "x,a\n").encode("utf-16-le"), "row 1: holds a NUL byte; .* UTF-16"),
        ("train.jsonl", LINE.encode("utf-16"), "train.jsonl: is UTF-16"),
        ("train.jsonl", packed(LINE.encode()), "is gzipped; call it .jsonl.gz"),
        ("train.csv", b"PK\x03\x04\x14", "Excel workbook; save it as CSV"),
        ("train.csv", "Nr;text;label\n1;x;a\n2;y, z;b\n", "1 problem\n.*row 1: the header is one field, 'Nr;text;label': separated by semicolons"),
        ("train.csv", "text\tlabel\nx\ta\n", "separated by tabs"),
        ("train.csv", HEAD + "x;a\ny, z;b\n" * 30, "1 problem\n.*row 2: 'x;a' is separated by semicolons, but the header by commas"),
        ("train.csv", "Nr;text, raw;label\n1;x;a\n", "the header is 2 fields.* separated by semicolons"),
        ("train.csv", "sep=;\ntext;label\nx;a\n", "only Excel reads; remove the line"),
        ("train.csv", "\n" + HEAD + "x,a\n", "row 1: is empty; the first line must name the columns"),
        ("train.csv", "text,label,,\nx,a,,\n", "repeats a column"),
        ("train.csv", HEAD + 'x,a\n"y,b\n' + "z,a\n" * 50, "row 3: is not valid CSV: the quotation mark opened here is never closed"),
        ("train.jsonl", f"[{LINE.strip()}]", "1 problem\n.*holds one JSON array; write JSON lines"),
        ("train.jsonl", f"[\n{LINE}]\n", "1 problem\n.*holds JSON over several lines; write JSON lines"),
        ("train.jsonl", '{"text": "x", "label": "a", "label": "b"}\n', "row 1: repeats a field: 'label'"),
        ("train.jsonl", LINE + '{"text": "y", "la', "row 2: is not valid JSON"),
        ("train.jsonl", '{"text": "x", "label": NaN}\n', "field 'label' is nan"),
        ("train.jsonl.gz", packed(LINE.encode() * 99)[:-12], "is not a complete gzip file"),
        ("train.parquet", pa.table([pa.array(["x"]), pa.array([0]), pa.array([1])], names=["text", "label", "label"]), "repeats a column"),
        ("train.parquet", pa.table({"text": ["x"], "label": [decimal.Decimal("1.0")]}), "field 'label' is Decimal"),
        ("train.parquet", pa.table({"text": [{"a": 1}], "label": [0]}), "must be text, not dict"),
        ("train.parquet", pa.table({"text": pa.nulls(1), "label": [0]}), "field 'text' is missing"),
        ("train.parquet", pa.table({"text": ["x"], "label": [datetime.date(2001, 1, 1)]}), "field 'label' is datetime.date"),
        ("train.tsv", HEAD + "x,a\n", "the header is one field.* separated by commas.* call it .csv"),
        ("train.csv", "text\tlabel\nx\ta\n", "separated by tabs.* call it .tsv"),
        ("train.tsv", 'text\tlabel\n"x\ta\n', "row 2: is not valid TSV: the quotation mark opened here is never closed"),
        ("train.xlsx", b"PK\x03\x04", "^dataset made: [^ ]*train.xlsx is an Excel workbook: save it as CSV with commas in UTF-8"),
        ("train.json", LINE, "train.json is JSON: write JSON lines"),
        ("train.csv.gz", packed(b"x"), "train.csv.gz is gzipped: unpack it"),
        ("train.txt", HEAD + "x,a\n", "train.txt is in an unknown format: call it .csv if"),
        ("train.md", HEAD, "train.md has a format that is not supported: save it as CSV"),
        ("Train.CSV", HEAD + "x,a\n", "Train.CSV is not read under this name: call it train.csv"),
        ("tickets.csv", HEAD + "x,a\n", r"tickets.csv is not read under this name: .* or name it under 'files:' .*train: tickets.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_error_with_the_cause(
    name: str, content: bytes | str | pa.Table, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        brought(tmp_path, name, content)


def test_tabs_separate_the_fields_of_a_tsv_file_in_which_commas_mean_nothing(tmp_path: Path) -> None:
    rows = brought(tmp_path, "train.tsv", 'text\tlabel\na, b; c\ta\n"two\nlines\t"\tb\n')
    assert [(row.fields["text"], row.label) for row in rows] == [("a, b; c", 0), ("two\nlines\t", 1)]


def test_a_train_file_that_is_not_read_is_no_reason_to_ask_the_hub(tmp_path: Path) -> None:
    (tmp_path / "rte").mkdir()
    (tmp_path / "rte" / "train.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"train\.xlsx is an Excel workbook"):
        read_rows(load_spec(tmp_path, "superglue", "rte"), tmp_path)


@pytest.mark.parametrize("name", ["dev.xlsx", "val.csv", "Validation.csv", "valid.jsonl", "eval.json", "dev.csv.gz"])
def test_a_dev_set_that_would_not_be_read_is_no_reason_to_hold_out_train_rows(name: str, tmp_path: Path) -> None:
    rows = brought(tmp_path, "train.csv", HEAD + "x,a\n")
    assert len(rows) == 1
    (tmp_path / "made" / name).write_text("")
    with pytest.raises(UserError, match=rf"{name} is not read( \(.*\))?, and without dev rows"):
        read_rows(load_spec(tmp_path, "own", "made"), tmp_path)
    with (tmp_path / "made" / "dataset.yaml").open("a") as file:
        file.write("files: {train: train.csv}\n")
    assert list(read_rows(load_spec(tmp_path, "own", "made"), tmp_path).rows) == ["train"]


@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.parquet"])
@pytest.mark.parametrize("opened", [Path.touch, Path.mkdir], ids=["empty", "folder"])
def test_an_empty_file_or_a_folder_is_no_traceback(name: str, opened: Callable[[Path], None], tmp_path: Path) -> None:
    own = tmp_path / "made"
    own.mkdir()
    (own / "dataset.yaml").write_text("kind: single\ntext: text\nlabels: [a, b]\n")
    opened(own / name)
    with pytest.raises(UserError, match=r"holds no rows|no rows found|not a readable \.parquet"):
        read_rows(load_spec(tmp_path, "own", "made"), tmp_path)
