"""The methods that go other ways than signals: through the stages, on a few embedded rows, a choice and single texts."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from stages import ROOT, run_main_job, run_stage_here, write_params

from models.store import load_model
from training.fixed_teacher import reworded
from training.teacher_signals import open_signals

pytestmark = pytest.mark.xdist_group("all methods")
METHODS = ("kd", "tinybert", "ckd", "pesf_kd", "takd", "sftn", "mpdistil", "kd_meta", "pkd_meta")
SIZES = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.05}
ONE = ("--dataset", "payment", "--seed", "1")


def params(folder: Path, **changes: object) -> None:
    """Small rows and models: a teacher of 4 layers and 24 units, a student of 2 layers and 16."""
    sizes: dict[str, object] = {
        "datasets": ["payment", "worth"],
        "seeds": [1],
        "methods": list(METHODS),
        "source": {"folder": "catalog"},
        "split": {"selection_minimum": 16, "max_length": 24},
        "teacher": {"epochs": 2, "config": {**SIZES, "hidden_size": 24, "num_hidden_layers": 4}},
        "student": {
            "epochs": 2,
            "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 2},
        },
        "takd": {"layers": 3},
        "mpdistil": {"base": "takd"},
        "meta_teacher": {"epochs": 1},
        "curriculum": {"episodes": 1, "max_steps_per_episode": 2, "reward": "gain", "probe_rows": 8},
        "evaluate": {"latency_repeats": 3},
    }
    write_params(folder, **(sizes | changes))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all of METHODS ran."""
    folder = tmp_path_factory.mktemp("all methods")
    for name in ("payment", "worth"):
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 96, "dev_rows": 16}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params(folder)
    run_main_job(folder, ("payment", "worth"), METHODS, (1,))
    return folder


@pytest.fixture
def workspace(ran: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(ran, tmp_path / "copy")


def metrics(folder: Path, *parts: str) -> dict:
    return json.loads(folder.joinpath("outputs", *parts, "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dataset", ["payment", "worth"])
@pytest.mark.parametrize("method", METHODS)
def test_every_student_is_evaluated_like_the_others(ran: Path, dataset: str, method: str) -> None:
    found = metrics(ran, "evaluate", dataset, method, "1")
    assert {"selection", "dev", "teacher_dev", "parameters"} <= found.keys()
    student = load_model(ran / "outputs/student" / dataset / method / "1/model")
    assert student.num_layers == 2
    assert all(bool(torch.isfinite(value).all()) for value in student.state_dict().values())


def test_an_assistant_lies_between_and_its_signals_are_what_its_student_learns_from(ran: Path) -> None:
    model = load_model(ran / "outputs/assistant/payment/takd/1/model")
    assert model.num_layers == 3
    own = metrics(ran, "assistant", "payment", "takd", "1")["parameters"]
    sizes = metrics(ran, "evaluate", "payment", "takd", "1")["parameters"]
    assert sizes["student"] < own < sizes["teacher"]
    read = json.loads((ran / "outputs/student/payment/takd/1/run.json").read_text(encoding="utf-8"))["input_hashes"]
    assert "outputs/assistant/payment/takd/1/signals" in read
    assert not [path for path in read if path.startswith("outputs/signals")]


def test_a_student_friendly_teacher_is_a_teacher_without_branches(ran: Path) -> None:
    friendly = load_file(ran / "outputs/assistant/payment/sftn/1/model/model.safetensors")
    teacher = load_file(ran / "outputs/teacher/payment/1/model/model.safetensors")
    assert {name: value.shape for name, value in friendly.items()} == {name: v.shape for name, v in teacher.items()}
    assert not torch.equal(friendly["classifier.weight"], teacher["classifier.weight"])
    curves = (ran / "outputs/assistant/payment/sftn/1/curves.jsonl").read_text(encoding="utf-8")
    assert "train_agreement" in curves


def test_a_student_of_the_meta_teacher_learnt_from_other_answers_than_its_twin(ran: Path) -> None:
    weights = [
        load_file(ran / f"outputs/student/payment/{name}/1/model/model.safetensors") for name in ("kd", "kd_meta")
    ]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_meta_teachers_answers_are_its_head_on_the_stored_vectors(ran: Path) -> None:
    signals = open_signals(ran / "outputs/signals/worth/1/signals", "quiz", rows=_rows(ran, "worth"))
    folder = ran / "outputs/meta_teacher/worth/1/head"
    head, said = load_file(folder / "head.safetensors"), load_file(folder / "quiz.safetensors")["logits"]
    assert torch.allclose(reworded(signals, head["head.weight"], head["head.bias"]).logits, said, atol=1e-6)


def _rows(folder: Path, dataset: str) -> int:
    stored = load_file(folder / f"outputs/signals/{dataset}/1/signals/quiz.safetensors")
    return len(stored["logits"])


def test_only_tinyberts_last_phase_may_be_kept(ran: Path) -> None:
    lines = (ran / "outputs/student/payment/tinybert/1/curves.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["best"] for line in lines] == [0, 1]
    assert "train_attention" in lines[0]


def test_the_teacher_of_pesf_kd_is_scored_by_its_head_alone(ran: Path) -> None:
    lines = (ran / "outputs/student/payment/pesf_kd/1/curves.jsonl").read_text(encoding="utf-8").splitlines()
    assert "teacher_selection_loss" in json.loads(lines[-1])
    assert metrics(ran, "student", "payment", "pesf_kd", "1")["updates"]["teacher"] > 0


@pytest.mark.parametrize("base", ["pesf_kd", "sftn", "ckd"])
def test_the_curriculum_stands_on_any_student(workspace: Path, base: str) -> None:
    few = {"sampler": "kd_only", "episodes": 1, "max_steps_per_episode": 2}
    params(workspace, mpdistil={"base": base}, curriculum=few)
    for stage, method in (("meta_teacher", ()), ("curriculum", ("--method", "mpdistil"))):
        ended = run_stage_here(workspace, stage, *ONE, *method)
        assert ended.status == 0, ended.errors


@pytest.mark.parametrize(
    ("stage", "method", "changes", "message"),
    [
        ("assistant", "takd", {"takd": {"layers": None, "config": {**SIZES, "hidden_size": 32}}}, "must lie between"),
        ("assistant", "kd", {}, "not among `methods.assisted`"),
        ("meta_student", "mse_kd", {}, "not among `methods.meta_taught`"),
        ("student", "takd", {}, "not among `methods.student`"),
    ],
)
def test_a_combination_without_meaning_is_one_line(
    workspace: Path, stage: str, method: str, changes: dict, message: str
) -> None:
    params(workspace, **changes)
    ended = run_stage_here(workspace, stage, *ONE, "--method", method)
    assert ended.status == 2
    assert message in ended.errors
    assert len(ended.errors.strip().splitlines()) == 1


def test_heads_that_have_no_counterpart_are_one_line(workspace: Path) -> None:
    config = {**SIZES, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    student = {"epochs": 2, "config": config}
    params(workspace, student=student)
    ended = run_stage_here(workspace, "student", *ONE, "--method", "tinybert")
    assert ended.status == 2
    assert "head by head" in ended.errors
