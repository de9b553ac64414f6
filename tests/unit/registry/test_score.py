"""`python -m registry.score`: the same file with the student's columns beside its own, or one clear line."""

import csv
import errno
import fcntl
import gzip
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pytest
from made_students import PAIR, MadeStudent, empty_registry, made_rows, make_student, register_student
from source_imports import ROOT

from data import raw_files
from data.problems import Problems
from data.raw_files import read_chunks, read_raw
from errors import UserError
from registry import pull, score
from registry.model_ref import LoadedStudent, load
from registry.scoring import threads as cores_module
from registry.scoring.row_writer import scored_copy

pytestmark = pytest.mark.xdist_group("students")
MODEL = "own-payment-mpdistil@champion"
NUMBERS = ["student_score", *(f"student_probability_{name}" for name in ("yes", "no", "perhaps"))]
NEW = ["student_label", *NUMBERS, "student_truncated"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeStudent:
    return make_student(tmp_path_factory.mktemp("student"), PAIR)


@pytest.fixture(scope="module")
def registry(made: MadeStudent, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registry that holds the student."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", empty_registry(folder))
        register_student(MODEL.split("@")[0], made.student, made.tokens, folder / "artifacts", aliases=["champion"])
        return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(autouse=True)
def here(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; chunks of four rows."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    monkeypatch.setattr(raw_files, "CHUNK", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rows(made: MadeStudent) -> pd.DataFrame:
    """Ten raw rows with a label and an id of their own, and signs that CSV has to quote."""
    frame = pd.DataFrame(made_rows(made.spec, 10))
    frame["label"], frame["id"], frame["remark"] = range(10), [f"r{n}" for n in range(10)], 'said "a,\nb", é'
    return frame


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False)


def write_tsv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False, sep="\t")


def read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def write_jsonl(rows: pd.DataFrame, path: Path) -> None:
    rows.to_json(path, orient="records", lines=True, force_ascii=False)


def write_parquet(rows: pd.DataFrame, path: Path) -> None:
    rows.to_parquet(path)


def read_jsonl(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True)


Read: TypeAlias = Callable[[Path], pd.DataFrame]
Write: TypeAlias = Callable[[pd.DataFrame, Path], None]
FORMATS = [
    ("rows.csv", write_csv, pd.read_csv),
    ("rows.tsv", write_tsv, read_tsv),
    ("rows.jsonl", write_jsonl, read_jsonl),
    ("rows.jsonl.gz", write_jsonl, read_jsonl),
    ("rows.parquet", write_parquet, pd.read_parquet),
]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a refusal says."""
    capsys.readouterr()
    assert score.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1, output.err
    return output.err


@pytest.mark.parametrize(("name", "write", "read"), FORMATS, ids=[name for name, _, _ in FORMATS])
def test_every_row_keeps_its_columns_and_gets_the_students(
    name: str, write: Write, read: Read, rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(rows, here / name)
    assert score.main([MODEL, name, "--batch-size", "3"]) == 0
    stem, _, suffix = name.partition(".")
    scored = read(here / f"{stem}.scored.{suffix}")
    assert list(scored) == [*rows, *NEW]
    assert scored[list(rows)].equals(rows)
    answers = load(MODEL).score(rows, 32)
    assert scored["student_label"].tolist() == answers["label"].tolist()
    assert scored[NUMBERS].to_numpy() == pytest.approx(answers.iloc[:, 1:-1].to_numpy(), abs=1e-6)
    assert scored["student_truncated"].tolist() == answers["truncated"].tolist()
    cut = int(answers["truncated"].sum())
    assert 0 < cut < 10
    said = rf"version 1 \(champion\): 10 rows, {cut} of them longer than it reads and cut, [\d.]+ s, {stem}.scored.{suffix}"
    assert re.search(said, capsys.readouterr().out)
    assert sorted(path.name for path in here.iterdir()) == sorted([name, f"{stem}.scored.{suffix}"])


@pytest.mark.parametrize(("name", "write", "read"), FORMATS, ids=[name for name, _, _ in FORMATS])
def test_a_file_without_rows_gives_one_without_rows(
    name: str, write: Write, read: Read, rows: pd.DataFrame, here: Path
) -> None:
    write(rows.iloc[:0], here / name)
    if "jsonl" not in name:
        assert score.main([MODEL, name, "--output", f"none.{name.partition('.')[2]}"]) == 0
        assert list(read(here / f"none.{name.partition('.')[2]}")) == [*rows, *NEW]


def test_a_field_of_a_csv_file_may_be_long(rows: pd.DataFrame, here: Path) -> None:
    long = rows.assign(premise="anna " * 40_000)
    write_csv(long, here / "rows.csv")
    assert score.main([MODEL, "rows.csv"]) == 0
    scored = pd.read_csv(here / "rows.scored.csv")
    assert scored["student_truncated"].all()
    assert scored["premise"].equals(long["premise"])


def test_a_pulled_folder_needs_no_registry(here: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pull.main([MODEL, "--to", "pulled"]) == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write_csv(rows, here / "rows.csv")
    assert score.main(["pulled", "rows.csv"]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["pulled", "rows.csv", "rows.scored.csv"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", 'premise,hypothesis\n"a b",c\nd\n', "a.csv, row 3: has 1 fields; the header has 2"),
        ("a.csv", 'premise,hypothesis\na,b\n"c,d\n', r"a.csv, row 3: is not valid CSV"),
        ("a.csv", b"premise,hypothesis\na,b\n\n\xff,b\n", r"a.csv, row 4: holds a byte that is not UTF-8"),
        ("a.csv", "premise,hypothesis\na,b\nc,\n", "a.csv, row 3: field 'hypothesis' is empty"),
        ("a.csv", "premise,hypothesi\na,b\n", "a.csv: field 'hypothesis' is missing; .* did you mean 'hypothesi'"),
        ("a.csv", "", "a.csv: field 'premise' is missing"),
        ("a.csv", "premise,hypothesis,student_label\na,b,c\n", r"a.csv: holds a field 'student_label' already"),
        ("a.jsonl", '{"premise":"a","hypothesis":"b"}\n{"premise"\n', "a.jsonl, row 2: is not valid JSON"),
        ("a.jsonl", '{"premise":"a","hypothesis":"b"}\n["a"]\n', "a.jsonl, row 2: must be a JSON object"),
        ("a.jsonl", '{"premise":"a","hypothesis":"b"}\n{"premise":"a"}\n', "a.jsonl, row 2: field 'hypothesis'"),
        ("a.jsonl", '{"premise":"a","hypothesis":3}\n', "a.jsonl, row 1: field 'hypothesis' must be text, not 3"),
        ("a.jsonl", '{"premise":"a","hypothesis":"\\ud800"}\n', "a.jsonl, row 1: .* not valid Unicode"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz: is not a complete gzip file"),
        ("a.parquet", b"no parquet", "a.parquet: is not a readable .parquet file"),
        ("a.xlsx", b"PK\x03\x04", "a.xlsx: is an Excel workbook: save it as CSV with commas in UTF-8"),
        ("a.csv", "premise;hypothesis\na;b\n", "a.csv, row 1: the header is one field, .* separated by semicolons"),
        (
            "a.txt",
            "premise\n",
            "a.txt: is in an unknown format: .* The name must end with one of .jsonl, .jsonl.gz, .csv, .tsv, .parquet",
        ),
    ],
)
def test_a_row_or_file_that_cannot_be_read_is_one_line_and_nothing_is_written(
    name: str, content: str | bytes, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert re.search(f"^score: {said}", refused(capsys, MODEL, name))
    assert [path.name for path in here.iterdir()] == [name]


def test_the_last_row_is_looked_at_before_the_first_is_scored(
    rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("scored a file that holds a bad row")

    monkeypatch.setattr(LoadedStudent, "score", never)
    write_csv(pd.concat([rows, rows.tail(1).assign(premise="")]), here / "rows.csv")
    assert "row 23: field 'premise' is empty" in refused(capsys, MODEL, "rows.csv")


def test_files_that_are_there_are_not_overwritten_but_by_force(
    rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(rows, here / "rows.csv")
    (here / "rows.scored.csv").write_text("mine", encoding="utf-8")
    assert "--force replaces" in refused(capsys, MODEL, "rows.csv")
    assert (here / "rows.scored.csv").read_text(encoding="utf-8") == "mine"
    assert "is the input file" in refused(
        capsys, MODEL, "rows.csv", "--output", "../" + here.name + "/rows.csv", "--force"
    )
    assert "must end with .csv, the format of rows.csv" in refused(capsys, MODEL, "rows.csv", "--output", "x.parquet")
    assert score.main([MODEL, "rows.csv", "--force"]) == 0
    assert len(pd.read_csv(here / "rows.scored.csv")) == 10


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = []

    def full(student: LoadedStudent, chunk: pd.DataFrame, batch_size: int) -> pd.DataFrame:
        if scored:
            raise OSError(errno.ENOSPC, "No space left on device")
        scored.append(chunk)
        return student.scorer.predict(None, chunk)

    monkeypatch.setattr(LoadedStudent, "score", full)
    write_csv(rows, here / "rows.csv")
    said = refused(capsys, MODEL, "rows.csv")
    assert (
        "No space left on device; nothing half-written was left there; what was scored is kept in .rows.scored" in said
    )
    assert sorted(path.name for path in here.iterdir()) == [".rows.scored.csv.progress", "rows.csv"]


@pytest.mark.parametrize("model", ["own-payment-mpdistil@nobody", "own-payment-mpdistl/1", "nothing", "."])
def test_a_model_that_is_not_there_is_one_line(
    model: str, rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(rows, here / "rows.csv")
    assert model.split("/")[0] in refused(capsys, model, "rows.csv")


WARTS: dict[str, bytes] = {
    "plain.csv": b'a,b\n1,2\n\n"x\ny",z\n',
    "mark.csv": b"\xef\xbb\xbfa,b\r\n1,2\r\n",
    "plain.tsv": b'a\tb\n1\t2\n\n"x\ny"\t,\n',
    "commas.tsv": b"a,b\n1,2\n",
    "short.csv": b"a,b\n1,2\n3\n",
    "twice.csv": b"a,a\n1,2\n",
    "quote.csv": b'a,b\n1,"2\n',
    "latin.csv": b"a,b\n1,2\n\n3,\xe9\n",
    "empty.csv": b"",
    "plain.jsonl": b'{"a": 1}\n\n {"a": "\xc3\xa9"}',
    "mark.jsonl": b'\xef\xbb\xbf{"a": 1}\n',
    "broken.jsonl": b'{"a": 1}\n{"a": \n',
    "latin.jsonl": b'{"a": "\xe9"}\n',
    "list.jsonl": b'{"a": 1}\n[1]\n',
    "plain.jsonl.gz": gzip.compress(b'{"a": 1}\n{"b": 2}\n'),
    "cut.jsonl.gz": gzip.compress(b'{"a": 1}\n{"b": 2}\n')[:-9],
    "no.jsonl.gz": b"no gzip",
    "wide.csv": "a,b\n1,2\n".encode("utf-16"),
    "wide.jsonl": '{"a": 1}\n'.encode("utf-16"),
    "packed.jsonl": gzip.compress(b'{"a": 1}\n'),
    "book.csv": b"PK\x03\x04\x14",
    "nul.csv": b"a,b\n1,\x00\n",
    "semicolons.csv": b"a;b\n1;2\n",
    "open.csv": b'a,b\n1,2\n3,"4\n5,6\n',
    "array.jsonl": b'[{"a": 1}]',
    "pretty.jsonl": b'{\n"a": 1\n}\n',
    "twice.jsonl": b'{"a": 1, "a": 2}\n',
    "no.parquet": b"no parquet",
}


@pytest.mark.parametrize("name", [*WARTS, "missing.csv"])
def test_files_are_read_as_the_source_stage_reads_them_with_the_same_rows_and_words(name: str, here: Path) -> None:
    if name in WARTS:
        (here / name).write_bytes(WARTS[name])
    problems = Problems("made")
    wanted = list(read_raw(Path(name), problems))
    try:
        chunks = list(read_chunks(Path(name), ("a", "b")))
    except UserError as error:
        assert problems.lines
        # What pyarrow says of a broken file depends on how it is opened.
        assert str(error).split("Parquet file (")[0] == problems.lines[0].split("Parquet file (")[0]
        return
    assert problems.lines == []
    assert [pair for chunk in chunks for pair in zip(chunk.numbers, chunk.rows, strict=True)] == wanted


def test_rows_are_read_a_chunk_at_a_time(here: Path) -> None:
    (here / "long.jsonl").write_text('{"a": 1}\n' * 8 + "broken\n", encoding="utf-8")
    chunks = read_chunks(Path("long.jsonl"), ("a",))
    assert [len(next(chunks).rows), len(next(chunks).rows)] == [4, 4]
    with pytest.raises(UserError, match="row 9"):
        next(chunks)


def test_a_column_with_half_a_surrogate_pair_stays_as_it_is(here: Path) -> None:
    line = {"premise": "a", "hypothesis": "b", "remark": "\ud800"}
    (here / "rows.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert score.main([MODEL, "rows.jsonl"]) == 0
    assert json.loads((here / "rows.scored.jsonl").read_text(encoding="utf-8"))["remark"] == "\ud800"


def numbered(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["premise", "hypothesis", "id"])
        writer.writerows([[f"anna has {n} hats", "anna " * (n % 30 + 1), n] for n in range(count)])


def test_a_killed_scoring_goes_on_where_it_stopped_and_ends_with_the_same_bytes(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_files, "CHUNK", 1000)
    assert pull.main([MODEL, "--to", "pulled"]) == 0
    numbered(here / "rows.csv", 8_000)
    assert score.main(["pulled", "rows.csv", "--output", "whole.csv", "--threads", "1"]) == 0
    kept = here / ".rows.scored.csv.progress"
    command = [sys.executable, "-m", "registry.score", "pulled", "rows.csv", "--threads", "1"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while process.poll() is None and not list(kept.glob("[0-9]*.parquet")):
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (here / "rows.scored.csv").exists()
    chunks = len(list(kept.glob("[0-9]*.parquet")))
    assert 1 <= chunks < 8
    capsys.readouterr()
    assert score.main(["pulled", "rows.csv", "--threads", "1"]) == 0
    said = capsys.readouterr()
    assert "goes on where an interrupted run stopped" in said.err
    assert f"{chunks}000 scored by an interrupted run" in said.out
    assert (here / "rows.scored.csv").read_bytes() == (here / "whole.csv").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["pulled", "rows.csv", "rows.scored.csv", "whole.csv"]


class Stopped(Exception):
    """The event that ends a scoring in its midst."""


def interrupted(here: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Score rows.csv in chunks of four rows, and stop in the third."""
    own, calls = LoadedStudent.score, []

    def stopping(student: LoadedStudent, chunk: pd.DataFrame, batch_size: int) -> pd.DataFrame:
        calls.append(len(chunk))
        if len(calls) == 3:
            raise Stopped
        return own(student, chunk, batch_size)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(LoadedStudent, "score", stopping)
        score.main([MODEL, "rows.csv", *arguments])
    assert len(list((here / ".rows.scored.csv.progress").glob("*.parquet"))) == 2


@pytest.mark.parametrize("change", ["rows", "student", "batch size", "threads", "damaged chunk", "nothing"])
def test_kept_answers_are_used_for_the_same_file_student_and_settings_only(
    change: str, rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(rows, here / "rows.csv")
    interrupted(here, monkeypatch, "--threads", "1")
    if change == "rows":
        write_csv(rows.iloc[::-1], here / "rows.csv")
    if change == "student":
        record = here / ".rows.scored.csv.progress" / "made_of.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "student": "0" * 64}))
    if change == "damaged chunk":
        file = here / ".rows.scored.csv.progress" / "000001.parquet"
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 4
        file.write_bytes(content)
    batch, threads = ("5" if change == "batch size" else "32"), ("2" if change == "threads" else "1")
    capsys.readouterr()
    assert score.main([MODEL, "rows.csv", "--batch-size", batch, "--threads", threads]) == 0
    said = capsys.readouterr().out
    used = re.search(r"(\d+) scored by an interrupted run", said)
    assert (int(used[1]) if used else 0) == {"nothing": 8, "damaged chunk": 4}.get(change, 0)
    settings = ("--batch-size", batch, "--threads", threads)
    assert score.main([MODEL, "rows.csv", *settings, "--output", "whole.csv"]) == 0
    assert (here / "rows.scored.csv").read_bytes() == (here / "whole.csv").read_bytes()
    assert sorted(path.name for path in here.iterdir()) == ["rows.csv", "rows.scored.csv", "whole.csv"]


def test_two_scorings_into_one_file_are_refused(
    rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(rows, here / "rows.csv")
    folder = here / ".rows.scored.csv.progress"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "rows.scored.csv: another process is writing it" in refused(capsys, MODEL, "rows.csv")
    assert score.main([MODEL, "rows.csv"]) == 0


def test_threads_are_those_asked_for_else_the_variable_else_the_cores(
    rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    before = torch.get_num_threads()
    write_csv(rows, here / "rows.csv")
    try:
        assert score.main([MODEL, "rows.csv", "--threads", "3"]) == 0
        assert torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert score.main([MODEL, "rows.csv", "--force"]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    monkeypatch.delenv("OMP_NUM_THREADS")
    for cores, wanted in ((1, 1), (6, 6), (64, cores_module.MOST)):
        monkeypatch.setattr(cores_module, "usable_cores", lambda cores=cores: cores)
        assert cores_module.default_threads() == wanted
    monkeypatch.undo()
    assert 1 <= cores_module.usable_cores() <= len(os.sched_getaffinity(0))


def test_a_terminal_shows_a_bar(rows: pd.DataFrame, here: Path) -> None:
    assert pull.main([MODEL, "--to", "pulled"]) == 0
    with (here / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["premise", "hypothesis"])
        writer.writerows([["a", "b"]] * 2500)
    command = [sys.executable, "-m", "registry.score", "pulled", "rows.csv", "--force"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the terminal is closed
                break
            shown += part
    assert process.returncode == 0, shown
    assert re.search(rb"score rows.csv: +\d+%.*/2500", shown)


def test_a_pipe_shows_no_bar(rows: pd.DataFrame, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(rows, here / "rows.csv")
    assert score.main([MODEL, "rows.csv"]) == 0
    output = capsys.readouterr()
    assert (output.err, output.out.count("\n")) == ("", 1)


def test_rows_of_a_format_that_is_read_but_not_written_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_files, "SUFFIXES", (*raw_files.SUFFIXES, ".orc"))
    for name, said in (("rows.orc", "not written to one; use .jsonl"), ("rows.xlsx", "must end with one of")):
        with pytest.raises(UserError, match=said), scored_copy(tmp_path / name, tmp_path / name, {}):
            pass
    assert not list(tmp_path.iterdir())
