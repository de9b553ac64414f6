"""The grid of MPDistil's variants: which cells are run, what a row says of them, and that a finished cell is left out."""

import json
from pathlib import Path

import pytest
from made_up_pipeline import MadeUpPipeline

from experiments import cells, grid
from experiments.grid_types import Point
from experiments.result_rows import read_rows


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpPipeline:
    made_up = MadeUpPipeline(Path("profiles/superglue-minilm.yaml"), folder=tmp_path / "tree")
    monkeypatch.setattr(grid, "Pipeline", lambda *_: made_up)
    return made_up


def test_all_cells_cover_every_loss_reward_and_sampler_once() -> None:
    every = cells.VARIANTS["all"]
    assert len(every) == len(set(every)) == 11
    assert {(loss, reward) for loss, reward, sampler in every if sampler == "policy"} >= {
        (loss, reward) for loss in cells.LOSSES for reward in ("binary", "real")
    }
    assert {reward for _, reward, _ in every} == {"binary", "real", "gain", "alignment"}
    assert {sampler for _, _, sampler in every} == {"policy", "uniform", "target", "kd_only"}


def test_folders_of_somebodys_machine_do_not_get_into_a_row() -> None:
    command = "p.yaml --set source.folder=/home/me/rows models.search=[/a,/b] --work /tmp/x --seeds 1"
    shown = "p.yaml --set source.folder=FOLDER models.search=[FOLDER,FOLDER] --work FOLDER --seeds 1"
    assert grid.FOLDER.sub("FOLDER", command) == shown


def run(tmp_path: Path, *arguments: str) -> int:
    places = ["profiles/superglue-minilm.yaml", str(tmp_path / "runs.jsonl"), "--work", str(tmp_path / "work")]
    return grid.main([*places, *arguments])


def test_a_cell_is_run_once_and_its_row_can_be_read_back(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    asked = ("--cells", "default", "--datasets", "cb", "--seeds", "42")
    assert run(tmp_path, *asked) == 0
    assert run(tmp_path, *asked) == 0
    ((values, targets),) = pipeline.asked
    assert values["curriculum.reward"] == "alignment"
    assert targets == ("evaluate@cb-finetune-42", "evaluate@cb-mse_kd-42", "evaluate_curriculum@cb-mpdistil-42")
    (row,) = read_rows(tmp_path / "runs.jsonl")
    evaluated = json.loads((pipeline.folder / "outputs/evaluate/cb/mpdistil/42/metrics.json").read_text())
    score = round(100 * evaluated["dev"]["accuracy"], 4)
    assert (row.dataset, row.seed, row.cell.reward, row.scores["mpdistil"]) == ("cb", 42, "alignment", score)
    assert row.duration_s == 36  # of the three stages that are the cell's own


def test_cells_of_another_budget_are_run_again(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    asked = ("--cells", "samplers", "--datasets", "cb", "copa", "--seeds", "42", "--workers", "2")
    assert run(tmp_path, *asked) == 0
    assert len(read_rows(tmp_path / "runs.jsonl")) == len(pipeline.asked) == 8
    object.__setattr__(pipeline, "assignments", ("student.epochs=7",))
    assert run(tmp_path, *asked) == 0
    assert len(pipeline.asked) == 16


def test_a_dataset_that_the_profile_lacks_is_refused(
    tmp_path: Path, pipeline: MadeUpPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--datasets", "mrpc", "--seeds", "42") == 2
    assert "--datasets mrpc: not in profiles/superglue-minilm.yaml, which has cb, copa" in capsys.readouterr().err
    assert not pipeline.asked


def test_an_interrupt_ends_what_runs_and_keeps_the_rows(
    tmp_path: Path, pipeline: MadeUpPipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def finish(cells: cells.Cells, point: Point, tree: Path) -> None:
        if "uniform" in point.name:
            raise KeyboardInterrupt
        whole(cells, point, tree)

    whole = cells.Cells.finish
    monkeypatch.setattr(cells.Cells, "finish", finish)
    assert run(tmp_path, "--cells", "samplers", "--datasets", "cb", "--seeds", "42") == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert pipeline.stopping.is_set() and len(pipeline.asked) == 2
    assert [row.cell.sampler for row in read_rows(tmp_path / "runs.jsonl")] == ["policy"]
