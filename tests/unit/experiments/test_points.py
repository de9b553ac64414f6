"""The papers' grids as files, the points drawn from them, and the choice on selection."""

from pathlib import Path

import pytest
import yaml

from config.methods import by_family
from config.parameters import load
from experiments.grid import main
from experiments.grid_files import draw_points, read_grid
from experiments.methods_grid import best_on_selection

ROOT = Path(__file__).parents[3]
GRIDS = sorted((ROOT / "profiles/grids").glob("*.yaml"))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_point_of_a_shipped_grid_is_a_valid_params_file(path: Path, tmp_path: Path) -> None:
    grid = read_grid(path)
    assert grid.methods[-1] == grid.name
    for point in draw_points(grid, min(4, grid.size), seed=0):
        values = yaml.safe_load((ROOT / "profiles/superglue-minilm.yaml").read_text())
        values["methods"] = by_family(grid.methods)
        for key, value in point.values.items():
            section, _, name = key.partition(".")
            values[section][name] = value
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        assert load(tmp_path / "params.yaml").methods.names == grid.methods


def test_the_papers_grid_of_mpdistil_has_its_144_points() -> None:
    sizes = {path.stem: read_grid(path).size for path in GRIDS}
    assert sizes["mpdistil"] == 144
    assert sizes["metadistil"] == 54
    assert len(draw_points(read_grid(ROOT / "profiles/grids/mpdistil.yaml"), None, 0)) == 144


def test_as_many_points_are_drawn_for_every_grid_and_the_draw_is_seeded() -> None:
    grids = [read_grid(path) for path in GRIDS if path.stem in ("kd", "pkd")]
    drawn = [[point.name for point in draw_points(grid, 5, seed=1)] for grid in grids]
    assert [len(names) for names in drawn] == [5, 5]
    assert drawn == [[point.name for point in draw_points(grid, 5, seed=1)] for grid in grids]
    assert drawn[0] != [point.name for point in draw_points(grids[0], 5, seed=2)]
    assert set(drawn[0]) < {point.name for point in draw_points(grids[0], 9, seed=1)}


def test_a_grid_with_fewer_points_than_asked_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    grids = ("--grids", str(ROOT / "profiles/grids/prokd.yaml"), "--points", "12")
    assert main(["profiles/superglue-minilm.yaml", "runs.jsonl", "--list", *grids]) == 2
    assert "the grid prokd has 4 points; name 1 to that many" in capsys.readouterr().err


def test_a_point_has_a_name_of_its_own_and_the_values_of_its_number() -> None:
    point = draw_points(read_grid(ROOT / "profiles/grids/prokd.yaml"), None, 0)[1]
    assert point.name == "prokd-001"
    assert point.values == {
        "student.learning_rate": 2e-05,
        "prokd.temperature": False,
        "student.batch_size": 32,
        "teacher.trajectory": True,
    }


def test_the_point_with_the_lowest_mean_loss_on_selection_is_the_best_and_the_first_of_equal_ones() -> None:
    losses = {"kd-002": [0.3, 0.5], "kd-001": [0.4, 0.4], "kd-000": [0.9, 0.1], "kd-003": [0.2, 0.8]}
    assert best_on_selection(losses) == ("kd-001", 0.4)
