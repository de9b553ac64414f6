"""The bench of whole pieces: rows as long as real ones, stages that really run, a plain job that is really plain."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import bench, growth, pieces_bench, plain_job, workspace
from benchmarks.length_table import TOTAL, draw_lengths
from benchmarks.measuring import at_least_row, limit_row
from benchmarks.memory_bench import peak_gigabytes, write_workspace
from benchmarks.workspace import Workspace, make_workspace
from data.batches import batch_order, useful_share

pytestmark = pytest.mark.xdist_group("speed bench")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A sixth of the rows."""
    return make_workspace(tmp_path_factory.mktemp("bench"), None, share=1 / 6)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of a size that tests can afford."""
    monkeypatch.setattr(workspace, "HIDDEN", 24)
    monkeypatch.setattr(pieces_bench, "HIDDEN", 24)


def test_drawn_lengths_have_the_quantiles_of_the_real_ones() -> None:
    totals = [first + second + 3 for first, second in draw_lengths("rte", 4000, seed=0)]
    assert abs(np.median(totals) - TOTAL["rte"][10]) <= 2
    assert abs(np.mean(np.minimum(totals, 128)) - 66.6) < 2, "RTE's mean at 128 tokens at most"
    assert min(totals) >= TOTAL["rte"][0] and max(totals) <= TOTAL["rte"][-1]


def test_made_rows_are_as_long_as_drawn(small: Workspace) -> None:
    assert "length_table" in small.said
    assert abs(small.split("rte", "train").lengths.mean() - 66.6) < 6


@pytest.mark.parametrize("size", [8, 16, 32])
def test_batches_of_rows_as_long_as_rtes_are_little_padded(size: int) -> None:
    lengths = np.array([min(128, first + second + 3) for first, second in draw_lengths("rte", 1992, seed=0)])
    assert useful_share(lengths, batch_order(lengths, size, seed=1, epoch=1, shuffle=True)) >= 0.93


def test_the_signals_and_meta_teacher_stages_really_run(small: Workspace, tiny: None) -> None:
    rows = [*pieces_bench.signals_rows(small, 1), *pieces_bench.meta_teacher_rows(small, 1)]
    assert [row.target for row in rows] == [1.10, 1.5]
    outputs = small.folder / "outputs"
    assert (outputs / "signals/rte/1/signals/train.safetensors").is_file()
    assert (outputs / "meta_teacher/rte/1/metrics.json").is_file()


def test_a_curriculums_step_is_held_against_the_very_batches_it_took(small: Workspace, tiny: None) -> None:
    (row,) = pieces_bench.curriculum_rows(small, 1)
    assert row.target == 1.15 and row.value > 0 and row.floor > 0


def test_the_plain_job_pads_every_batch_to_the_longest_input(small: Workspace) -> None:
    split = small.split("rte", "train")
    (batch,) = plain_job.padded_batches(split, 1, 8)
    assert batch.inputs["input_ids"].shape == (8, 128)
    assert batch.inputs["attention_mask"].sum(1).tolist() == split.lengths[batch.rows].tolist()
    assert not torch.equal(batch.rows, batch.rows.sort().values), "drawn at random"


def test_rows_of_real_text_need_their_tokenizer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["--rows", "somewhere"])
    assert ended.value.code == 2
    assert "go together" in capsys.readouterr().err


def test_only_the_groups_named_are_measured(small: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "make_workspace", lambda *_, **__: small)
    output = tmp_path / "bench.json"
    bench.main(["--only", "tokens", "--output", str(output)])  # a sixth of the rows is too few for the target
    names = [row["name"] for row in json.loads(output.read_text(encoding="utf-8"))]
    assert len(names) == 3 and all("useful share" in name for name in names)


def test_a_limit_and_a_least_share_are_targets_of_the_figure_itself() -> None:
    assert limit_row("start", "CPU s", [1.0, 1.4], 1.5).ok and not limit_row("start", "CPU s", [1.6], 1.5).ok
    assert at_least_row("useful", "share", [0.95], 0.93).ok and not at_least_row("useful", "share", [0.9], 0.93).ok


@pytest.mark.slow
def test_source_and_split_take_a_fraction_of_what_row_objects_would(tmp_path: Path) -> None:
    peaks = []
    for rows in (20_000, 80_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        write_workspace(folder, rows)
        peaks.append([peak_gigabytes(folder, stage)[0] for stage in ("source", "split")])
    added = [(more - less) * 1e9 / 60_000 for less, more in zip(*peaks, strict=True)]
    # Bytes a row. None at all would mean that another process was measured.
    assert min(added) > 100 and max(added) < 900


def test_the_tables_of_growth_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{growth.BEGIN}\nold\n{growth.END}\nafter\n", encoding="utf-8")
    growth.put_between(page, growth.Growth("Rows", ("rows", "s"), ((1000, 0.5),)).markdown())
    text = page.read_text(encoding="utf-8")
    assert "old" not in text and "| 1,000 | 0.500 |" in text and text.endswith("after\n")
