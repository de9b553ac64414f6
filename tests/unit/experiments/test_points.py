"""The papers' grids as files, their points as commands, and the choice on selection."""

from pathlib import Path

import pytest
import yaml

from config.methods import by_family
from config.parameters import load
from experiments.experiments import choose, finished
from experiments.grid_files import draw_points, queue_arguments, read_grid
from experiments.points import main

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
    assert main(["list", str(ROOT / "profiles/grids/prokd.yaml"), "--points", "12"]) == 2
    assert "the grid prokd has 4 points; name 1 to that many" in capsys.readouterr().err


def test_a_point_is_a_queued_experiment_of_its_method_alone() -> None:
    point = draw_points(read_grid(ROOT / "profiles/grids/prokd.yaml"), None, 0)[1]
    arguments = queue_arguments(point)
    assert arguments[:6] == ["dvc", "exp", "run", "--queue", "--name", "grid-prokd-001"]
    assert arguments[7::2] == [
        *("methods.student=[prokd]", "methods.assisted=[]", "methods.meta_taught=[]"),
        *("methods.multi_task=[]", "methods.curriculum=[]"),
        *("student.learning_rate=2e-05", "prokd.temperature=false", "student.batch_size=32"),
        "teacher.trajectory=true",
    ]


def experiment(name: str, losses: dict[str, float], state: str = "success", method: str = "kd") -> dict[str, object]:
    """One experiment as `dvc exp show --json` writes it; dev is best where selection is worst."""
    metrics = {dataset: {method: loss, "selection_loss": {method: loss}} for dataset, loss in losses.items()}
    params = {"methods": by_family([method]), "seeds": [42], "student": {"learning_rate": 1e-5}, method: {"alpha": 0.5}}
    data = {
        "params": {"params.yaml": {"data": params}},
        "metrics": {"outputs/report/metrics.json": {"data": metrics}},
    }
    return {"revs": [{"rev": f"rev-{name}", "name": name, "data": data}], "executor": {"state": state}, "name": name}


def test_the_point_with_the_lowest_loss_on_selection_is_chosen_for_each_dataset() -> None:
    shown = [
        {"rev": "workspace", "experiments": None},
        {
            "rev": "main",
            "experiments": [
                experiment("grid-kd-002", {"cb": 0.3, "copa": 0.5}),
                experiment("grid-kd-001", {"cb": 0.3, "copa": 0.4}),
                experiment("grid-kd-000", {"cb": 0.9, "copa": 0.6}),
                experiment("grid-pkd-000", {"cb": 0.1}, method="pkd"),
                experiment("my-own", {"cb": 0.0}),
            ],
        },
    ]
    chosen = {(one.dataset, one.method): (one.tried.name, one.points) for one in choose(finished(shown))}
    assert chosen == {
        ("cb", "kd"): ("grid-kd-001", 3),
        ("copa", "kd"): ("grid-kd-001", 3),
        ("cb", "pkd"): ("grid-pkd-000", 1),
    }


def test_failed_and_queued_points_are_not_counted() -> None:
    found = [
        experiment("grid-kd-000", {"cb": 0.3}),
        experiment("grid-kd-001", {"cb": 0.1}, state="failed"),
        experiment("grid-kd-002", {"cb": 0.1}, state="queued"),
    ]
    tried = finished([{"experiments": found}])
    assert [(one.name, one.failed) for one in tried] == [("grid-kd-000", False), ("grid-kd-001", True)]
    (chosen,) = choose(tried)
    assert (chosen.tried.name, chosen.points) == ("grid-kd-000", 1)
