"""The curriculum's options that the presets leave off, through the stages on a few rows."""

import json
import shutil
from contextlib import chdir
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml
from stages import ROOT, run_main_job, run_stage_here, write_params

from config.parameters import load
from models.store import load_model
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import open_dataset
from tasks.student_training.quizzes import action_batches, head_warming

SIZES = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.05}
TARGET, OTHER = DATASETS = ("payment", "worth")
METHODS = ("finetune", "kd", "mse_kd", "annealing_kd", "mpdistil", "finetune_multi", "kd_multi")
OPTIONS = MappingProxyType(
    {
        "actions_rows": "train",
        "heads": "warmed",
        "head_steps": 4,
        "probe_rows": "all",
        "target_steps": 2,
        "patience": 2,
        "reward": "gain",
        "gain_steps": 3,
    }
)


def params(folder: Path, base: str = "finetune", options: MappingProxyType = OPTIONS, **changes: object) -> None:
    write_params(
        folder,
        datasets=list(DATASETS),
        seeds=[1],
        methods=list(METHODS),
        source={"folder": "catalog"},
        split={"selection_minimum": 16, "max_length": 24},
        teacher={"epochs": 2, "config": {**SIZES, "hidden_size": 24, "num_hidden_layers": 3}},
        student={"epochs": 1, "config": {**SIZES, "hidden_size": 24, "num_hidden_layers": 2}},
        meta_teacher={"epochs": 1},
        mpdistil={"base": base},
        curriculum={
            "episodes": 5,
            "max_steps_per_episode": 4,
            "batch_size": 4,
            "sampler": "uniform",
            "student_learning_rate": 1e-3,
            **options,
        },
        evaluate={"latency_repeats": 3},
        **changes,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all of METHODS ran with OPTIONS, mpdistil after finetune."""
    folder = tmp_path_factory.mktemp("options")
    for name in DATASETS:
        own = folder / "catalog" / name
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 96, "dev_rows": 16}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params(folder)
    run_main_job(folder, DATASETS, METHODS, (1,))
    return folder


@pytest.fixture
def copy(ran: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ran, tmp_path / "copy")


def run(folder: Path, stage: str, method: str) -> None:
    ended = run_stage_here(folder, stage, "--dataset", TARGET, "--seed", "1", "--method", method)
    assert ended.status == 0, ended.errors


def steps(folder: Path, method: str = "mpdistil") -> list[dict]:
    path = folder / f"outputs/student/{TARGET}/{method}/1/steps.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def metrics(folder: Path, method: str = "mpdistil") -> dict:
    return json.loads((folder / f"outputs/student/{TARGET}/{method}/1/metrics.json").read_text(encoding="utf-8"))


def weights(folder: Path, method: str = "mpdistil") -> bytes:
    return (folder / f"outputs/student/{TARGET}/{method}/1/model/model.safetensors").read_bytes()


def test_actions_are_of_the_train_rows_of_other_datasets_and_of_the_targets_quiz(ran: Path) -> None:
    with chdir(ran):
        stage = Stage("curriculum", load(), dataset=TARGET, seed=1)
        own, other = (open_dataset(stage, name, record=False) for name in DATASETS)
        assert own.spec.name == TARGET

        def drawn(batches) -> list[int]:
            return sorted(row for batch in batches.one_pass(1) for row in batch.rows.tolist())

        assert drawn(action_batches(stage, own, [])) == list(range(len(own.split("quiz"))))
        train = other.split("train")
        assert drawn(action_batches(stage, other, [])) == list(range(len(train)))
        first = action_batches(stage, other, []).next_batch()
        assert first.labels.tolist() == [train.labels[row] for row in first.rows]
        warming = head_warming(stage, {TARGET: own, OTHER: other})
        assert warming is not None and [one.name for one in warming.datasets] == [OTHER]


def test_finetune_multi_is_still_a_curriculum_that_draws_evenly_bit_for_bit(ran: Path) -> None:
    ours, theirs = steps(ran, "finetune_multi"), steps(ran)
    keys = ("episode", "action", "loss", "target_loss")
    assert [[row.get(key) for key in keys] for row in ours] == [[row.get(key) for key in keys] for row in theirs]
    assert weights(ran, "finetune_multi") == weights(ran)
    assert metrics(ran, "finetune_multi")["updates"] == metrics(ran)["updates"]


def test_steps_on_the_target_are_updates_and_patience_ends_it(ran: Path) -> None:
    rows, found = steps(ran), metrics(ran)
    assert [("target_loss" in row) for row in rows[:4]] == [False, False, True, True]
    # Of the four steps of an episode three are of its first action, and two follow each action.
    assert found["updates"]["student"] == len(rows) * (4 + 2 * 2) / 4
    kept = sum(row["episode"] <= found["best_episode"] for row in rows)
    assert found["updates"]["student_kept"] == kept * (4 + 2 * 2) / 4
    episodes = max(row["episode"] for row in rows)
    assert episodes == min(5, found["best_episode"] + 2)
    drawn = sum(row["action"] == OTHER for row in rows)
    with chdir(ran):
        train = open_dataset(Stage("curriculum", load(), dataset=TARGET, seed=1), OTHER, record=False).split("train")
    assert found["other_rows"] == min(4 * drawn, len(train))


def test_steps_on_the_target_are_by_the_loss_of_the_base(copy: Path) -> None:
    """With all weight on its task loss, kd as base gives what finetune gives; with its soft term, another student."""
    finetuned = weights(copy)
    params(copy, "kd", kd={"alpha": 1.0})
    run(copy, "student", "kd")
    run(copy, "curriculum", "mpdistil")
    assert weights(copy) == finetuned
    params(copy, "kd", kd={"alpha": 0.5})
    run(copy, "curriculum", "mpdistil")
    assert weights(copy) != finetuned


def test_a_base_that_compares_layers_finds_them_in_the_stored_signals(copy: Path) -> None:
    params(copy, "mse_kd", mse_kd={"alpha": 1.0, "beta": 0.0})
    run(copy, "curriculum", "mpdistil")
    plain = [row["target_loss"] for row in steps(copy) if "target_loss" in row]
    params(copy, "mse_kd", mse_kd={"alpha": 1.0, "beta": 10.0})
    run(copy, "curriculum", "mpdistil")
    assert next(row for row in steps(copy) if "target_loss" in row)["target_loss"] > plain[0]


def test_a_base_whose_loss_changes_over_its_epochs_is_refused(copy: Path) -> None:
    params(copy, "annealing_kd")
    ended = run_stage_here(copy, "curriculum", "--dataset", TARGET, "--seed", "1", "--method", "mpdistil")
    assert ended.status == 2
    assert "the loss of mpdistil.base annealing_kd changes over its epochs" in ended.errors


def test_a_warmed_head_is_saved_with_the_student(copy: Path) -> None:
    heads: dict[str, object] = {}
    for kind in ("fresh", "warmed"):
        params(copy, options=MappingProxyType({**OPTIONS, "heads": kind, "sampler": "target"}))
        run(copy, "curriculum", "mpdistil")
        heads[kind] = load_model(copy / f"outputs/student/{TARGET}/mpdistil/1/model").head_of(OTHER).weight.tolist()
    assert heads["fresh"] != heads["warmed"]
