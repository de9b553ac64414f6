"""The grid: which cells are run, what a row says of them, and that a finished cell is left out."""

import json
from pathlib import Path

import pytest

from experiments import grid
from experiments.result_rows import read_rows


def test_all_cells_cover_every_loss_reward_and_sampler_once() -> None:
    cells = grid.VARIANTS["all"]
    assert len(cells) == len(set(cells)) == 11
    assert {(loss, reward) for loss, reward, sampler in cells if sampler == "policy"} >= {
        (loss, reward) for loss in grid.LOSSES for reward in ("binary", "real")
    }
    assert {reward for _, reward, _ in cells} == {"binary", "real", "gain", "alignment"}
    assert {sampler for _, _, sampler in cells} == {"policy", "uniform", "target", "kd_only"}


def test_folders_of_somebodys_machine_do_not_get_into_a_row() -> None:
    command = "p.yaml --set source.folder=/home/me/rows models.search=[/a,/b] --work /tmp/x --seeds 1"
    shown = "p.yaml --set source.folder=FOLDER models.search=[FOLDER,FOLDER] --work FOLDER --seeds 1"
    assert grid.FOLDER.sub("FOLDER", command) == shown


def run_with_fake_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the default cell of one dataset; stages only leave the metrics that a row is made of."""
    ran: list[str] = []

    def stage(given: grid.Work, params: Path, name: str, dataset: str, method=None, seed=None, *, again=False) -> None:
        ran.append(name)
        folder = given.folder / "outputs" / ("student" if name == "curriculum" else name) / dataset
        method = "mpdistil" if name == "curriculum" else method
        folder = folder.joinpath(*(str(part) for part in (method, seed) if part is not None))
        (folder / "tokens").mkdir(parents=True, exist_ok=True)
        scores = {"accuracy": 0.75, "loss": 0.5}
        found: dict[str, object] = {
            f"{who}{split}": scores for who in ("", "teacher_") for split in ("dev", "selection")
        }
        found |= {"rows": {"dev": 56}, "best_episode": 3, "cumulative_share": {}, "selected_on": "selection"}
        (folder / "metrics.json").write_text(json.dumps(found))
        (folder / "tokens/spec.json").write_text(json.dumps({"metrics": ["accuracy"]}))

    monkeypatch.setattr(grid, "run_stage_command", stage)
    arguments = ["grid", "profiles/superglue-minilm.yaml", str(tmp_path / "runs.jsonl"), "--datasets", "cb"]
    monkeypatch.setattr("sys.argv", [*arguments, "--seeds", "42", "--work", str(tmp_path / "work")])
    monkeypatch.setattr(grid, "commit", lambda: "abc")
    monkeypatch.setattr("experiments.json_lines.commit_time_of", lambda commit: "2026-01-01T00:00:00+00:00")
    grid.main()
    return ran


def test_a_cell_is_run_once_and_its_row_can_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with_fake_stages(tmp_path, monkeypatch).count("curriculum") == 1
    assert run_with_fake_stages(tmp_path, monkeypatch).count("curriculum") == 0
    (row,) = read_rows(tmp_path / "runs.jsonl")
    assert (row.dataset, row.seed, row.cell.reward, row.scores["mpdistil"]) == ("cb", 42, "alignment", 75.0)
