"""Whatever stands in rows, descriptions and params files: it works, or one message says what is wrong; no hang."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fuzzing import DESCRIPTION, NAMES, description_files, fuzz, params_files, row_files
from stages import Ended, run_stage_here, write_params

from config.parameters import load
from errors import UserError

pytestmark = pytest.mark.xdist_group("faults")
FEW, MANY = 60, 3000
DATASET = ("--dataset", "reviews")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a params.yaml for one dataset of one's own, and its description."""
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "data" / "reviews").mkdir(parents=True)
    write_params(
        folder,
        benchmark="own",
        datasets=["reviews"],
        source={"folder": "data"},
        split={"selection_minimum": 1},
    )
    return folder


def clear(ended: Ended) -> None:
    """Done, or status 2 and a message that a terminal can show."""
    assert ended.status in (0, 2), ended
    if ended.status == 2:
        assert ended.output == "" and "Traceback" not in ended.errors
        assert len(ended.errors.strip()) > 20 and len(ended.errors) < 20_000
        ended.errors.encode("utf-8")


def rows_check(here: Path) -> Callable[[tuple[str, bytes]], None]:
    """Both stages that read rows, on a file of the fuzzer's."""

    def check(file: tuple[str, bytes]) -> None:
        folder = here / "data" / "reviews"
        for name in NAMES:
            (folder / name).unlink(missing_ok=True)
        (folder / "dataset.yaml").write_text(yaml.safe_dump(DESCRIPTION))
        (folder / file[0]).write_bytes(file[1])
        shutil.rmtree(here / "outputs", ignore_errors=True)
        ended = run_stage_here(here, "source", *DATASET)
        clear(ended)
        if ended.status == 0:
            clear(run_stage_here(here, "split", *DATASET))

    return check


def description_check(here: Path) -> Callable[[bytes], None]:
    """The source stage, with good rows and a description of the fuzzer's."""

    def check(content: bytes) -> None:
        folder = here / "data" / "reviews"
        for name in NAMES:
            (folder / name).unlink(missing_ok=True)
        (folder / "train.jsonl").write_text(
            '{"id": "1", "text": "a", "label": "good"}\n{"id": "2", "text": "b", "label": 0}\n'
        )
        (folder / "dataset.yaml").write_bytes(content)
        clear(run_stage_here(here, "source", *DATASET))

    return check


def params_check(folder: Path) -> Callable[[bytes], None]:
    """Reading a params file of the fuzzer's."""

    def check(content: bytes) -> None:
        file = folder / "fuzzed.yaml"
        file.write_bytes(content)
        try:
            load(file)
        except UserError as error:
            assert str(error).startswith(str(file)) and len(str(error)) > len(str(file)) + 10
            str(error).encode("utf-8")

    return check


def test_any_rows(here: Path) -> None:
    fuzz(row_files, rows_check(here), FEW)


def test_any_description(here: Path) -> None:
    fuzz(description_files, description_check(here), FEW)


def test_any_params_file(here: Path) -> None:
    fuzz(params_files, params_check(here), 2 * FEW)


@pytest.mark.slow
def test_any_rows_at_length(here: Path) -> None:
    fuzz(row_files, rows_check(here), MANY)


@pytest.mark.slow
def test_any_description_at_length(here: Path) -> None:
    fuzz(description_files, description_check(here), MANY)


@pytest.mark.slow
def test_any_params_file_at_length(here: Path) -> None:
    fuzz(params_files, params_check(here), 2 * MANY)


@pytest.mark.slow
def test_the_checks_can_fail(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("data.sources.check_table", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        fuzz(row_files, rows_check(here), 5)
    with pytest.raises(AssertionError):
        clear(Ended(1, "", "Traceback"))
