"""The grid of methods: one budget for all, what the points have in common, what is left out, and what is kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from made_up_pipeline import MadeUpPipeline

from config.methods import by_family, method_of
from experiments import grid
from experiments.grid_types import evaluation
from experiments.method_runs import read_method_rows
from experiments.methods_grid import Budget
from experiments.teachers import LEFT_OUT, read_teacher_rows
from metrics import compute_metrics

KD_GRID = ("--grids", "profiles/grids/kd.yaml", "--points", "3")


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpPipeline:
    made_up = MadeUpPipeline(Path("profiles/quickstart.yaml"), folder=tmp_path / "tree")
    monkeypatch.setattr(grid, "Pipeline", lambda *_: made_up)
    return made_up


def run(tmp_path: Path, *arguments: str) -> int:
    places = ["profiles/quickstart.yaml", str(tmp_path / "runs.jsonl"), "--work", str(tmp_path / "work")]
    return grid.main([*places, *arguments, "--seeds", "42"])


def test_the_budget_is_reckoned_in_whole_epochs_and_episodes() -> None:
    rows = {"train": 90, "quiz": 40}
    assert Budget(20, 16).values("kd", rows) == {"student.batch_size": 16, "student.epochs": 4}
    assert Budget(20, 16).values("mpdistil", rows) == {
        "student.batch_size": 16,
        "student.epochs": 2,
        "curriculum.episodes": 4,
        "curriculum.max_steps_per_episode": 3,
        "curriculum.batch_size": 16,
    }
    assert Budget(None, 8).values("kd", rows) == {"student.batch_size": 8}


def test_params_name_only_what_is_run_and_only_a_curriculum_names_all_datasets(
    tmp_path: Path, pipeline: MadeUpPipeline
) -> None:
    assert run(tmp_path, "--datasets", "payment", "--methods", "kd", "pkd", "mpdistil", "--updates", "20") == 0
    kd, pkd, mpdistil = (values for values, _ in pipeline.asked[1:])
    assert (kd["methods"], mpdistil["methods"]) == (by_family(["kd"]), by_family(["mse_kd", "mpdistil"]))
    assert kd["datasets"] == pkd["datasets"] == ["payment"]
    assert mpdistil["datasets"] == ["standing", "payment", "worth"]
    assert [targets for _, targets in pipeline.asked] == [
        ("split@payment",),
        ("evaluate@payment-kd-42",),
        ("evaluate@payment-pkd-42",),
        ("evaluate_curriculum@payment-mpdistil-42",),
    ]


def test_a_variant_stands_beside_its_method(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    variant = ("--variant", "kd-hot", "kd.temperature=9.0")
    assert run(tmp_path, "--datasets", "payment", *variant, "--methods", "kd") == 0
    assert [row.method for row in read_method_rows(tmp_path / "runs.jsonl")] == ["kd", "kd-hot"]
    assert pipeline.asked[-1][0]["kd.temperature"] == 9.0
    folder = tmp_path / "work/outputs/evaluate/payment"
    assert {path.name for path in folder.iterdir()} == {"kd", "kd-hot"}
    assert (folder / "kd-hot/42/metrics.json").is_file()


def test_a_method_that_refuses_a_dataset_is_named_and_left_out(
    tmp_path: Path, pipeline: MadeUpPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--datasets", "worth", "--methods", "skd") == 0
    assert "left out: skd: worth is a regression" in capsys.readouterr().out
    assert not (tmp_path / "runs.jsonl").exists()


STRICT = ("--set", "teacher.no_better_than_majority=error")


def test_nothing_is_distilled_from_a_teacher_within_noise_and_its_row_says_so(
    tmp_path: Path, pipeline: MadeUpPipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.within_noise.append("standing")
    monkeypatch.setattr(grid, "Pipeline", lambda profile, values: replace(pipeline, assignments=values))
    asked = ("--datasets", "standing", "payment", "--methods", "kd", *STRICT)
    assert run(tmp_path, *asked) == 0
    assert f"standing 42: {LEFT_OUT}" in capsys.readouterr().out
    left, kept = read_teacher_rows(tmp_path / "runs.jsonl")
    assert (left.dataset, left.left_out, left.reason) == ("standing", "the teacher is no better", LEFT_OUT)
    assert (kept.dataset, kept.reason, kept.dev, len(kept.tried)) == ("payment", "", 80.0, 2)
    assert [row.dataset for row in read_method_rows(tmp_path / "runs.jsonl")] == ["payment"]
    assert all(values["teacher.no_better_than_majority"] == "warn" for values, _ in pipeline.asked)
    ran = [targets for _, targets in pipeline.asked]
    assert run(tmp_path, *asked) == 0
    assert [targets for _, targets in pipeline.asked[len(ran) :]] == [("split@standing", "split@payment")]


def test_a_row_has_all_answers_on_dev_and_the_epochs(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    assert run(tmp_path, "--datasets", "payment", "worth", "--methods", "kd") == 0
    for row in read_method_rows(tmp_path / "runs.jsonl"):
        assert row.answers is not None and len(row.answers.truth) == row.dev_rows == 56
        for who, score in row.dev:
            logits = row.answers.logits(who)
            found = compute_metrics([row.metric], logits, row.answers.truth, row.answers.kind)[row.metric]
            assert 100 * found == pytest.approx(score, abs=1e-3)
        assert [json.loads(epoch)["epoch"] for epoch in row.curve] == list(range(1, 11))


def test_only_a_method_that_follows_the_teachers_epochs_has_them_kept(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    assert run(tmp_path, "--datasets", "payment", "--methods", "kd") == 0
    assert run(tmp_path, "--datasets", "payment", "--methods", "kd", "rco", "--updates", "299") == 0
    kept = [values["teacher.trajectory"] for values, _ in pipeline.asked]
    assert kept == [False, False, True, True, True]


def test_the_profiles_own_epochs_can_be_the_budget(tmp_path: Path, pipeline: MadeUpPipeline) -> None:
    assert run(tmp_path, "--datasets", "payment", "--methods", "kd", "--profile-epochs") == 0
    assert "student.epochs" not in pipeline.asked[-1][0]
    assert '"student_epochs": 5' in read_method_rows(tmp_path / "runs.jsonl")[0].budget


def test_the_point_with_the_lowest_loss_on_selection_becomes_the_row_of_its_grid(
    tmp_path: Path, pipeline: MadeUpPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [line.partition(":")[0] for line in listed(tmp_path, capsys)]
    pipeline.losses.update({f"{points_values(tmp_path, capsys)[1]}"[1:-1]: 0.25})
    assert run(tmp_path, "--datasets", "payment", *KD_GRID) == 0
    (row,) = read_method_rows(tmp_path / "runs.jsonl")
    assert (row.method, row.points, row.selection_loss) == ("kd", 3, 0.25)
    chosen = json.loads((tmp_path / "work/points.json").read_text())
    assert chosen["points"] == {"kd": 3} and chosen["chosen"][0]["experiment"] == names[1]
    assert (tmp_path / "work/outputs/evaluate/payment/kd/42").resolve().parts[-6] == names[1]
    asked = len(pipeline.asked)
    assert run(tmp_path, "--datasets", "payment", *KD_GRID) == 0
    assert len(pipeline.asked) == asked + 1  # the splits
    assert len(read_method_rows(tmp_path / "runs.jsonl")) == 1


def test_failed_points_are_not_counted(
    tmp_path: Path, pipeline: MadeUpPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.losses.update({f"{points_values(tmp_path, capsys)[0]}"[1:-1]: -1})
    assert run(tmp_path, "--datasets", "payment", *KD_GRID) == 0
    (row,) = read_method_rows(tmp_path / "runs.jsonl")
    assert row.points == 2
    assert "1 failed and were not counted" in capsys.readouterr().out


def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert run(tmp_path, "--list", *KD_GRID) == 0
    return capsys.readouterr().out.splitlines()


def points_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The values of each point, as JSON."""
    return [line.partition(": ")[2].replace("'", '"') for line in listed(tmp_path, capsys)]


@pytest.mark.parametrize("method", ["kd", "takd", "kd_meta", "kd_multi", "mpdistil"])
def test_students_are_evaluated_by_a_stage_of_the_pipeline(method: str) -> None:
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stage, _, keys = evaluation("payment", method, 42).partition("@")
    name = keys.split("-")[1]
    ending = "".join(value for one in stages[stage].get("vars", []) for value in one.values())
    assert f"{name}{ending}" == method


def test_a_variant_is_of_the_method_before_its_first_hyphen() -> None:
    assert [method_of(name) for name in ("kd", "kd-hot", "prokd-without-temperature")] == ["kd", "kd", "prokd"]


@pytest.mark.parametrize("method", ["kd_meta", "kd_multi"])
def test_methods_of_mpdistils_own_stages_are_left_to_dvc_repro(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--datasets", "payment", "--methods", method)
    assert "run it by `dvc repro`" in capsys.readouterr().err


def test_a_variant_without_a_value_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--datasets", "payment", "--variant", "kd-hot", "kd.temperature") == 2
    assert "--variant kd-hot kd.temperature: expected KEY=VALUE" in capsys.readouterr().err
