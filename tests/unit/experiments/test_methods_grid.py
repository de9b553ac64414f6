"""The runner of methods: one budget for all, rows that exist are left out, and two methods for real on few rows."""

import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks.stage_commands import Work
from experiments import method_training, methods_grid
from experiments.method_runs import read_method_rows
from experiments.method_training import Entry, Grid, lists_of
from tests.stages import run_stage_here

ROOT = Path(__file__).parents[3]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Quickstart's datasets with few generated rows."""
    shutil.copytree(ROOT / "data/catalog/quickstart", tmp_path / "catalog")
    for path in (tmp_path / "catalog").glob("*/dataset.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 160, "dev_rows": 40}
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return tmp_path / "catalog"


def run_here(tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Run the grid with its stages in this process; returns what was run."""
    ran: list[str] = []

    def stage(work: Work, params: Path, name: str, dataset: str, method=None, seed=None, *, again=False) -> None:
        keys = {"dataset": dataset, "method": method, "seed": seed}
        given = [part for key, value in keys.items() if value is not None for part in (f"--{key}", str(value))]
        folder = Path(*(str(value) for value in keys.values() if value is not None))
        if again or not (work.folder / "outputs" / name / folder / "run.json").exists():
            ended = run_stage_here(work.folder, name, "--params", str(params), *given)
            assert ended.status == 0, ended.errors
            ran.append(" ".join(str(part) for part in (name, dataset, method) if part))

    for module in (methods_grid, method_training):
        monkeypatch.setattr(module, "run_stage_command", stage)
    monkeypatch.setattr(methods_grid, "commit", lambda: "abc")
    monkeypatch.setattr("experiments.json_lines.commit_time_of", lambda commit: "2026-01-01T00:00:00+00:00")
    small = ["teacher.epochs=1", "split.selection_minimum=16", "evaluate.latency_repeats=3", f"source.folder={catalog}"]
    places = [str(ROOT / "profiles/quickstart.yaml"), str(tmp_path / "runs.jsonl"), "--work", str(tmp_path / "work")]
    budget = ["--seeds", "42", "--updates", "10", "--batch-size", "16", "--set", *small]
    assert methods_grid.main([*places, *arguments, *budget]) == 0
    return ran


def test_two_methods_share_teacher_and_budget_and_a_finished_row_is_left_out(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--datasets", "payment", "--methods", "kd", "prokt")
    ran = run_here(tmp_path, catalog, monkeypatch, *asked)
    assert ran == [
        *("source payment", "split payment", "teacher payment", "signals payment"),
        *("student payment kd", "evaluate payment kd", "student payment prokt", "evaluate payment prokt"),
    ]
    assert run_here(tmp_path, catalog, monkeypatch, *asked) == []
    kd, prokt = read_method_rows(tmp_path / "runs.jsonl")
    assert kd.student_updates == prokt.student_updates >= 10
    assert (kd.teacher_updates, prokt.teacher_updates) == (0, prokt.student_updates)
    assert kd.dev["teacher"] == prokt.dev["teacher"]
    assert '"kd": {"alpha": 0.5' in kd.parameters
    assert str(catalog) not in kd.command


def test_a_variant_runs_in_its_own_folder_and_stands_beside_the_others(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = ("--variant", "kd-hot", "kd.temperature=9.0")
    run_here(tmp_path, catalog, monkeypatch, "--datasets", "payment", *variant, "--methods", "kd")
    hot = read_method_rows(tmp_path / "runs.jsonl")[-1]
    assert hot.method == "kd-hot" and '"temperature": 9.0' in hot.parameters
    names = {path.name for path in (tmp_path / "work/outputs/evaluate/payment").iterdir()}
    assert names == {"kd", "kd-hot"}


def test_a_method_that_refuses_a_dataset_is_named_and_left_out(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_here(tmp_path, catalog, monkeypatch, "--datasets", "worth", "--methods", "skd")
    assert "left out: skd: worth is a regression" in capsys.readouterr().out
    assert not (tmp_path / "runs.jsonl").exists()


def grid_of(*names: str) -> Grid:
    values: dict[str, object] = {"datasets": ["cb", "rte"], "mpdistil": {"base": "mse_kd"}}
    entries = [Entry(name, {}) for name in names]
    return Grid("p", Work(Path("w"), values), Path("r"), entries, ["cb"], [42], 200, 16, "command")


def test_params_name_only_what_is_run() -> None:
    nothing = {"student": [], "assisted": [], "meta_taught": [], "multi_task": [], "curriculum": []}
    assert lists_of("kd")["methods"] == {**nothing, "student": ["kd"]}
    assert lists_of("mse_kd", "mpdistil")["methods"] == {**nothing, "student": ["mse_kd"], "curriculum": ["mpdistil"]}
    assert lists_of("takd")["methods"] == {**nothing, "assisted": ["takd"]}


def test_mpdistil_and_variants_run_apart() -> None:
    assert [Entry(name, {}).apart for name in ("kd", "kd-hot", "mpdistil")] == [False, True, True]
    assert Entry("prokd-without-temperature", {}).method == "prokd"
