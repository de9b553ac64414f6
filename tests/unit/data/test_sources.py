"""Sources of rows, their order, and the error if there is none."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_rows import ROOT, SHARED, SINGLE, needs_shared, spec_of

from data.description import load_spec
from data.records import DatasetSpec
from data.sources import read_rows
from data.stored_rows import read_source, save_source
from errors import UserError

REVISION = "0123456789abcdef0123456789abcdef01234567"
CB = [{"premise": f"p {i}", "hypothesis": f"h {i}", "idx": i, "label": i % 3} for i in range(12)]


def jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def hub_copy(folder: Path, rows: list[dict] = CB) -> None:
    """A repository in the Hub's layout: <config>/<split>-00000-of-00001.parquet, and the configs in README.md."""
    (folder / "cb").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        labelled = [row | {"label": -1} for row in rows] if split == "test" else rows
        pq.write_table(pa.Table.from_pylist(labelled), folder / "cb" / f"{split}-00000-of-00001.parquet")
    parts = "".join(f"  - split: {s}\n    path: cb/{s}-*\n" for s in ("train", "validation", "test"))
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: cb\n  data_files:\n{parts}---\n", encoding="utf-8"
    )


def cb(path: Path | str = "aps/super_glue", revision: str | None = REVISION) -> DatasetSpec:
    splits = {"train": "train", "dev": "validation", "test": "test"}
    hub = {"path": str(path), "config": "cb", "revision": revision, "splits": splits}
    labels = ["entailment", "contradiction", "neutral"]
    return spec_of({"kind": "pair", "text": ["premise", "hypothesis"], "labels": labels, "id": "idx", "hub": hub})


ROWS = [{"text": f"row {i}", "label": i % 2} for i in range(6)]


@pytest.mark.parametrize("end", [".jsonl", ".csv", ".parquet"])
def test_a_folder_of_any_format_holds_the_same_rows(tmp_path: Path, end: str) -> None:
    path = tmp_path / "made" / f"train{end}"
    jsonl(path, ROWS)
    if end == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(ROWS)
    elif end == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    found = read_rows(spec_of(SINGLE), tmp_path)
    assert [(row.fields["text"], row.label) for row in found.rows["train"]] == [(r["text"], r["label"]) for r in ROWS]
    assert found.spec.dev_sets == ("dev",) and str(tmp_path / "made") in found.origin


def test_the_names_of_files_are_found_or_given(tmp_path: Path) -> None:
    jsonl(tmp_path / "made" / "mine.jsonl", ROWS)
    jsonl(tmp_path / "made" / "validation.jsonl", ROWS)
    with pytest.raises(UserError, match=r"no train file; expected a file train with \.jsonl"):
        read_rows(spec_of(SINGLE), tmp_path)
    assert list(read_rows(spec_of(SINGLE, files={"train": "mine.jsonl"}), tmp_path).rows) == ["train"]
    with pytest.raises(UserError, match=r"names missing files: .*lost\.csv"):
        read_rows(spec_of(SINGLE, files={"train": "mine.jsonl", "dev": "lost.csv"}), tmp_path)


def test_two_files_for_one_split_are_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "made" / "train.jsonl", ROWS)
    jsonl(tmp_path / "made" / "train.csv", ROWS)
    with pytest.raises(UserError, match="both hold 'train'"):
        read_rows(spec_of(SINGLE), tmp_path)


def test_no_rows_anywhere_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no rows found \(looked in .*made.*Set source.folder .*source.search"):
        read_rows(spec_of(SINGLE), tmp_path, search=[tmp_path / "other"])


def test_problems_of_all_files_come_in_one_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "made" / "train.jsonl", [*ROWS, {"text": "", "label": 0}])
    jsonl(tmp_path / "made" / "dev.jsonl", [{"text": "t", "label": 9}])
    with pytest.raises(UserError) as caught:
        read_rows(spec_of(SINGLE), tmp_path)
    assert "train.jsonl, row 7: field 'text'" in str(caught.value)
    assert "dev.jsonl, row 1: field 'label' is 9" in str(caught.value)


def test_ids_may_repeat_across_files(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        jsonl(tmp_path / "made" / f"{split}.jsonl", [row | {"id": i} for i, row in enumerate(ROWS)])
    assert len(read_rows(spec_of(SINGLE, id="id"), tmp_path).rows["dev"]) == 6


def test_a_file_that_cannot_be_read_is_not_called_empty_on_top(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "train.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match="1 problem"):
        read_rows(spec_of(SINGLE), tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "made",
        "own/made",
        "aps/super_glue/cb",
        "super_glue/cb",
        f"hub/datasets--aps--super_glue/snapshots/{REVISION}/cb",
    ],
)
def test_search_folders_are_asked_before_the_hub(tmp_path: Path, place: str) -> None:
    if place.endswith("cb"):
        hub_copy((tmp_path / place).parent)
    else:
        jsonl(tmp_path / place / "train.jsonl", CB)
        jsonl(tmp_path / place / "validation.jsonl", CB)
    found = read_rows(cb(), tmp_path / "nothing", search=[tmp_path / "absent", tmp_path])
    assert [row.label for row in found.rows["dev"]] == [0, 1, 2] * 4
    assert str(tmp_path / place) in found.origin


def test_another_revision_in_the_cache_layout_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_copy(tmp_path / "datasets--aps--super_glue" / "snapshots" / "fff")
    monkeypatch.setattr("data.sources.load_from_hub", lambda *_: pytest.fail("asked the Hub"))
    with pytest.raises(pytest.fail.Exception, match="asked the Hub"):
        read_rows(cb(), None, search=[tmp_path])


def test_the_hubs_own_loader_reads_a_local_copy(tmp_path: Path) -> None:
    hub_copy(tmp_path / "repository")
    found = read_rows(cb(tmp_path / "repository", None), None, hub_cache=tmp_path / "cache")
    assert [len(found.rows[split]) for split in ("train", "dev", "test")] == [12, 12, 12]
    assert found.rows["train"][4].fields == {"premise": "p 4", "hypothesis": "h 4"}


def test_a_hub_that_cannot_be_reached_fails_fast_and_says_what_to_set() -> None:
    code = (
        "import os, sys; sys.path.insert(0, '.'); sys.path.insert(0, 'tests/unit/data')\n"
        "from test_sources import cb\nfrom data.sources import read_rows\nread_rows(cb(), None)"
    )
    for offline in ("1", "0"):  # port 9 of the own machine: nothing answers there
        environment = {
            "HF_HUB_OFFLINE": offline,
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "PATH": "",
            "OMP_NUM_THREADS": "1",
        }
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert time.monotonic() - began < 60
        message = done.stderr.strip().splitlines()[-1]
        for part in ("UserError", "aps/super_glue", "source.folder", "source.search", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
            assert part in message


def test_a_benchmarks_dataset_without_its_dev_file_is_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "made" / "train.jsonl", CB)
    with pytest.raises(UserError, match="official dev set"):
        read_rows(cb(), tmp_path)


def test_the_source_stages_output_gives_the_same_rows_back(tmp_path: Path) -> None:
    hub_copy(tmp_path / "super_glue")
    found = read_rows(cb(), None, search=[tmp_path])
    save_source(tmp_path / "out", found)
    stored = read_source(tmp_path / "out")
    assert (stored.spec, stored.origin) == (found.spec, found.origin)
    assert {name: list(rows) for name, rows in stored.rows.items()} == {n: list(rows) for n, rows in found.rows.items()}
    assert len(stored.rows["train"]) == 12
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev.parquet",
        "spec.json",
        "test.parquet",
        "train.parquet",
    ]


def test_another_folder_is_no_output_of_the_source_stage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an output of the source stage"):
        read_source(tmp_path)


def test_reading_and_splitting_import_neither_torch_nor_datasets() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); import data.sources, data.splits, data.stored_rows, data.tokens\n"
        "print([m for m in ('torch', 'datasets', 'transformers', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_shared
@pytest.mark.parametrize(
    ("benchmark", "dataset", "train", "dev"),
    [
        ("superglue", "cb", 250, 56),
        ("superglue", "wsc", 554, 104),
        ("glue", "stsb", 5749, 1500),
        ("glue", "mnli", 9999, 9815),
    ],
)
def test_real_folders_need_no_description(benchmark: str, dataset: str, train: int, dev: int) -> None:
    folder = SHARED / "data" / benchmark
    found = read_rows(load_spec(folder, benchmark, dataset), folder)
    assert (len(found.rows["train"]), len(found.rows["dev"])) == (train, dev)
    assert found.spec.dev_sets == ("dev",)  # of MNLI's two, the mismatched one is not in this folder
