"""A search trains at fixed points, keeps the best on selection, and goes on where it was killed."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from source_imports import ROOT
from stages import run_stage_here, write_params

import training.supervised
from config.methods import BY_NAME, TRAINED
from config.parameters import Parameters, load
from tasks.student_training.search import point, with_values
from tests.chaos.comparison import differences
from tests.unit.tasks.test_resume_states import in_call

pytestmark = pytest.mark.xdist_group("search")
GIVEN = load(ROOT / "params.yaml")
NET = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 16, "hidden_size": 16}
ONE = ("--dataset", "standing", "--seed", "1")
KD = (*ONE, "--method", "kd")
POINTS = 3


def test_every_method_has_a_main_weight_of_its_own_section_or_none() -> None:
    for method in TRAINED:
        weight = BY_NAME[method].main_weight
        assert weight is None or isinstance(getattr(GIVEN.of_method(method), weight), float)


@pytest.mark.parametrize("method", TRAINED)
def test_the_first_point_is_what_the_file_says(method: str) -> None:
    assert with_values(GIVEN, point(GIVEN, "student", method, 1)) == GIVEN
    assert with_values(GIVEN, point(GIVEN, "teacher", method, 1)) == GIVEN


@pytest.mark.parametrize("method", TRAINED)
def test_every_point_is_another_one_and_a_valid_params_file(method: str) -> None:
    points = [point(GIVEN, "student", method, number) for number in range(1, 17)]
    assert len({tuple(values.values()) for values in points}) == len(points)
    for values in points:
        Parameters.model_validate(with_values(GIVEN, values).model_dump(by_alias=True))


def test_four_points_spread_over_rates_and_weights() -> None:
    points = [point(GIVEN, "student", "mse_kd", number) for number in range(1, 5)]
    rates = [values["student.learning_rate"] / GIVEN.student.learning_rate for values in points]
    weights = [values["mse_kd.beta"] / float(GIVEN.mse_kd.beta or 0) for values in points]
    assert min(rates) < 0.5 and max(rates) > 1.5
    assert min(weights) < 0.1 and max(weights) > 2
    shares = [point(GIVEN, "student", "kd", number)["kd.alpha"] for number in range(2, 5)]
    assert min(shares) < 0.3 and max(shares) > 0.5


def test_a_weight_of_nothing_stays_nothing() -> None:
    given = with_values(GIVEN, {"mse_kd.beta": 0.0, "kd.alpha": 0.0})
    assert all(point(given, "student", "mse_kd", number)["mse_kd.beta"] == 0 for number in range(1, 9))
    assert all(point(given, "student", "kd", number)["kd.alpha"] == 0 for number in range(1, 9))


def with_search(**search: object) -> Parameters:
    content = GIVEN.model_dump(by_alias=True)
    return Parameters.model_validate(content | {"search": content["search"] | search})


def test_named_rates_are_the_points_and_nothing_else_is_varied() -> None:
    given = with_search(points=4, student_rates=(2e-5, 5e-5, 1e-4))
    assert (given.search.settings("teacher"), given.search.settings("student")) == (4, 3)
    points = [point(given, "student", "kd", number) for number in (1, 2, 3)]
    assert points == [{"student.learning_rate": rate} for rate in (2e-5, 5e-5, 1e-4)]
    assert point(given, "teacher", "finetune", 2) == point(GIVEN, "teacher", "finetune", 2)


@pytest.mark.parametrize("rates", [(2e-5,), (2e-5, 2e-5)])
def test_one_rate_is_no_search(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"search\.teacher_rates: give two rates or more, each once"):
        with_search(teacher_rates=rates)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits, and a teacher, signals and a kd student of three points that nobody interrupted."""
    folder = tmp_path_factory.mktemp("search")
    own = folder / "catalog/standing"
    own.mkdir(parents=True)
    content = yaml.safe_load((ROOT / "data/catalog/quickstart/standing/dataset.yaml").read_text(encoding="utf-8"))
    content["generate"] |= {"train_rows": 160, "dev_rows": 16}
    (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params(folder, points=POINTS)
    for stage in ("source", "split"):
        assert run_stage_here(folder, stage, "--dataset", "standing").status == 0
    for stage, options in (("teacher", ONE), ("signals", ONE), ("student", KD)):
        ended = run_stage_here(folder, stage, *options)
        assert ended.status == 0, ended.errors
    return folder


def params(folder: Path, *, points: int, rate: float = 1e-3, selected_by: str = "loss") -> None:
    write_params(
        folder,
        datasets=["standing"],
        methods=["finetune", "kd"],
        source={"folder": "catalog"},
        split={"selection_minimum": 16},
        teacher={"epochs": 2, "config": {**NET, "num_hidden_layers": 2}},
        student={"epochs": 2, "learning_rate": rate, "config": {**NET, "num_hidden_layers": 1}},
        search={"points": points},
        selected_by=selected_by,
        checkpoint={"minutes": 60, "steps": 3},
    )  # fmt: skip


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


STUDENT = Path("outputs/student/standing/kd/1")
TEACHER = Path("outputs/teacher/standing/1")


@pytest.mark.parametrize(("output", "names"), [(STUDENT, {"student.learning_rate", "kd.alpha"}), (TEACHER, {"teacher.learning_rate"})])  # fmt: skip
def test_the_best_point_is_kept_and_all_are_recorded(made: Path, output: Path, names: set[str]) -> None:
    found = metrics(made / output)
    search = found["search"]
    assert search["points"] == POINTS == len(search["tried"])
    losses = [one["selection"]["loss"] for one in search["tried"]]
    assert len(set(losses)) == POINTS
    assert search["chosen"] == losses.index(min(losses)) + 1
    assert found["selection"]["loss"] == pytest.approx(min(losses), abs=1e-6)
    assert all(names == one.keys() - {"selection"} for one in search["tried"])


def test_the_chosen_student_is_the_one_that_its_values_train_alone(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "alone")
    search = metrics(folder / STUDENT)["search"]
    values = search["tried"][search["chosen"] - 1]
    content = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    content["search"]["points"] = 1
    content["student"]["learning_rate"], content["kd"]["alpha"] = values["student.learning_rate"], values["kd.alpha"]
    (folder / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert run_stage_here(folder, "student", *KD).status == 0
    ours, theirs = (load_file(place / STUDENT / "model/model.safetensors") for place in (made, folder))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


@pytest.mark.parametrize("step", [2, 9, 14])  # in the first, the second and the third point, of 6 steps each
def test_a_killed_search_goes_on_with_the_same_bits(
    made: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(made, tmp_path / "killed")
    shutil.rmtree(folder / "outputs/student")
    collate, steps = training.supervised.collate, []
    with monkeypatch.context() as patched:
        hit = in_call(step, collate, lambda: os.kill(os.getpid(), signal.SIGTERM))
        patched.setattr(training.supervised, "collate", hit)
        assert run_stage_here(folder, "student", *KD).status == 143

    def counted(*arguments: object) -> object:
        steps.append(1)
        return collate(*arguments)  # ty: ignore[invalid-argument-type]

    monkeypatch.setattr(training.supervised, "collate", counted)
    ended = run_stage_here(folder, "student", *KD)
    assert ended.status == 0, ended.errors
    whole = 2 * _batches(folder) * POINTS
    assert len(steps) == whole - step, "what was trained is not trained again"
    assert differences(made / "outputs/student", folder / "outputs/student") == []
    assert not list((folder / "outputs/checkpoints").glob("*/*/step-*"))


def _batches(folder: Path) -> int:
    """Steps of an epoch."""
    rows = json.loads((folder / "outputs/split/standing/metrics.json").read_text(encoding="utf-8"))["rows"]["train"]
    return -(-rows // GIVEN.student.batch_size)


def test_a_point_that_diverges_is_left_out(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(made, tmp_path / "diverged")
    real = training.supervised.check_finite

    def failing(value: object, what: str, way_out: str) -> None:
        real(float("nan") if "point 1" in what else value, what, way_out)  # ty: ignore[invalid-argument-type]

    monkeypatch.setattr(training.supervised, "check_finite", failing)
    ended = run_stage_here(folder, "student", *KD)
    assert ended.status == 0, ended.errors
    search = metrics(folder / STUDENT)["search"]
    assert search["chosen"] in (2, 3)
    assert "nan" in search["tried"][0]["diverged"] and search["tried"][0]["selection"] is None
    monkeypatch.setattr(
        training.supervised, "check_finite", lambda value, what, way_out: failing(value, f"{what} point 1", way_out)
    )
    ended = run_stage_here(folder, "student", *KD)
    assert ended.status == 2 and "nan" in ended.errors


def test_without_a_search_nothing_is_recorded_of_one(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "none")
    params(folder, points=1)
    ended = run_stage_here(folder, "student", *KD)
    assert ended.status == 0 and "best of" not in ended.output
    assert "search" not in metrics(folder / STUDENT)
