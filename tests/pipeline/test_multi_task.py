"""finetune_multi and kd_multi: MPDistil's rows and steps without its curriculum, through the stages on a few rows."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from stages import ROOT, run_main_job, run_stage_here, write_params

from models.store import load_model
from reporting.effort import Effort, effort_of

METHODS = ("finetune", "kd", "mpdistil", "finetune_multi", "kd_multi")
SIZES = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.05}
DATASETS = ("payment", "worth")


def params(folder: Path, **changes: object) -> None:
    """mpdistil goes on from finetune and draws its datasets evenly: all that is left of it are its rewards."""
    sizes: dict[str, object] = {
        "datasets": list(DATASETS),
        "seeds": [1],
        "methods": list(METHODS),
        "source": {"folder": "catalog"},
        "split": {"selection_minimum": 16, "max_length": 24},
        "teacher": {"epochs": 2, "config": {**SIZES, "hidden_size": 24, "num_hidden_layers": 3}},
        "student": {
            "epochs": 2,
            "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 2},
        },
        "mpdistil": {"base": "finetune"},
        "meta_teacher": {"epochs": 1},
        "curriculum": {
            "episodes": 4,
            "max_steps_per_episode": 3,
            "batch_size": 8,
            "sampler": "uniform",
            "probe_rows": 8,
            "student_learning_rate": 1e-3,
        },
        "evaluate": {"latency_repeats": 3},
    }
    write_params(folder, **(sizes | changes))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all of METHODS ran."""
    folder = tmp_path_factory.mktemp("multi task")
    for name in DATASETS:
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 96, "dev_rows": 16}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params(folder)
    run_main_job(folder, DATASETS, METHODS, (1,))
    return folder


def lines(folder: Path, dataset: str, method: str, name: str) -> list[dict]:
    path = folder / f"outputs/student/{dataset}/{method}/1/{name}"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def metrics(folder: Path, dataset: str, method: str) -> dict:
    return json.loads((folder / f"outputs/student/{dataset}/{method}/1/metrics.json").read_text(encoding="utf-8"))


def weights(folder: Path, dataset: str, method: str) -> bytes:
    return (folder / f"outputs/student/{dataset}/{method}/1/model/model.safetensors").read_bytes()


def effort(folder: Path, dataset: str, method: str) -> Effort:
    with chdir(folder):
        found = effort_of(dataset, method, 1)
    assert found is not None
    return found


@pytest.mark.parametrize("dataset", DATASETS)
def test_finetune_multi_is_a_curriculum_that_draws_evenly_bit_for_bit(ran: Path, dataset: str) -> None:
    ours, theirs = (lines(ran, dataset, name, "steps.jsonl") for name in ("finetune_multi", "mpdistil"))
    assert [(row["episode"], row["action"], row["loss"]) for row in ours] == [
        (row["episode"], row["action"], row["loss"]) for row in theirs
    ]
    assert {row["action"] for row in ours} == set(DATASETS)
    assert "reward" not in ours[0]
    assert weights(ran, dataset, "finetune_multi") == weights(ran, dataset, "mpdistil")
    found, other = metrics(ran, dataset, "finetune_multi"), metrics(ran, dataset, "mpdistil")
    assert [found[key] for key in ("updates", "train_rows", "other_rows", "selection")] == [
        other[key] for key in ("updates", "train_rows", "other_rows", "selection")
    ]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("method", ["finetune", "kd"])
def test_it_starts_at_its_student_and_never_ends_below_it_on_selection(ran: Path, dataset: str, method: str) -> None:
    curves = lines(ran, dataset, f"{method}_multi", "curves.jsonl")
    assert [row["epoch"] for row in curves] == [0, 1, 2, 3, 4]
    came_in = metrics(ran, dataset, method)["selection"]["loss"]
    assert curves[0]["selection_loss"] == pytest.approx(came_in, rel=1e-5)
    kept = metrics(ran, dataset, f"{method}_multi")["selection"]["loss"]
    assert kept == min(row["selection_loss"] for row in curves)
    evaluated = json.loads((ran / f"outputs/evaluate/{dataset}/{method}_multi/1/metrics.json").read_text())
    assert evaluated["selection"]["loss"] == pytest.approx(kept, rel=1e-5)
    student = load_model(ran / f"outputs/student/{dataset}/{method}_multi/1/model")
    assert set(student.heads) == set(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_and_updates_are_the_students_and_its_own_together(ran: Path, dataset: str) -> None:
    base, own = effort(ran, dataset, "kd"), effort(ran, dataset, "kd_multi")
    assert base.student_updates is not None and own.student_updates == base.student_updates + 4 * 3
    assert own.kept_updates is not None and base.kept_updates is not None and own.kept_updates >= base.kept_updates
    assert own.cpu_s > base.cpu_s and own.feedback_rows == 0
    curriculum = effort(ran, dataset, "mpdistil")
    assert (own.train_rows, own.other_rows) == (curriculum.train_rows, curriculum.other_rows)
    assert own.student_updates == curriculum.student_updates


def test_kd_multi_learns_from_each_datasets_own_teacher(ran: Path, tmp_path: Path) -> None:
    """Without its soft term it is finetune_multi; with it, it is not."""
    assert weights(ran, "payment", "kd_multi") != weights(ran, "payment", "finetune_multi")
    read = json.loads((ran / "outputs/student/payment/kd_multi/1/run.json").read_text(encoding="utf-8"))["input_hashes"]
    assert {f"outputs/signals/{name}/1/signals" for name in DATASETS} <= set(read)
    read = json.loads((ran / "outputs/student/payment/finetune_multi/1/run.json").read_text())["input_hashes"]
    assert not [path for path in read if path.startswith(("outputs/signals", "outputs/meta_teacher"))]
    copy = shutil.copytree(ran, tmp_path / "copy")
    params(copy, kd={"alpha": 1.0})
    for stage in ("student", "multi_task"):
        ended = run_stage_here(copy, stage, "--dataset", "payment", "--seed", "1", "--method", "kd")
        assert ended.status == 0, ended.errors
    assert weights(copy, "payment", "kd_multi") == weights(copy, "payment", "finetune_multi")


def test_a_method_that_is_not_asked_for_is_one_line(ran: Path) -> None:
    ended = run_stage_here(ran, "multi_task", "--dataset", "payment", "--seed", "1", "--method", "mse_kd")
    assert ended.status == 2
    assert "not among `methods.multi_task` of params.yaml; those are finetune, kd" in ended.errors
