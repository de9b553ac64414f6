"""`split.quiz_joins_train`: who then trains on the quiz rows, who does not, and that what they read is of those rows."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from stages import ROOT, Ended, run_stage_here, write_params

from data.tokens import joined, open_split
from training.teacher_signals import open_joined, open_trajectory

METHODS = ("kd", "pkd", "tinybert", "prokd", "pesf_kd", "metadistil", "mse_kd")
SIZES = {"model_type": "bert", "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.05}
ONE = ("--dataset", "payment", "--seed", "1")


def params(folder: Path, *, joins: bool) -> None:
    """A teacher of 4 layers and a student of 2, of 16 units each; mse_kd is what a curriculum would go on from."""
    write_params(
        folder,
        datasets=["payment"],
        seeds=[1],
        methods=[*METHODS, "takd", "mpdistil"],
        source={"folder": "catalog"},
        split={
            "selection_minimum": 16,
            "max_length": 24,
            "quiz_joins_train": joins,
            "quiz_kept_from": "mse_kd" if joins else None,
        },
        teacher={"epochs": 2, "trajectory": True, "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 4}},
        student={
            "epochs": 2,
            "config": {**SIZES, "hidden_size": 16, "num_hidden_layers": 2},
        },
        prokd={"label_share": 0.0},
        takd={"layers": 3},
        mpdistil={"base": "mse_kd"},
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, Path]:
    """Two folders in which all of METHODS ran, one with the key."""
    folders = {joins: tmp_path_factory.mktemp(f"joins {joins}") for joins in (False, True)}
    for joins, folder in folders.items():
        own = folder / "catalog" / "payment"
        own.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart/payment/dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 96, "dev_rows": 16}
        (own / "dataset.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        params(folder, joins=joins)
        for stage in ("source", "split"):
            run(folder, stage, "--dataset", "payment")
        for stage in ("teacher", "signals"):
            run(folder, stage, *ONE)
        for method in METHODS:
            run(folder, "student", *ONE, "--method", method)
        for stage in ("assistant", "assisted_student"):
            run(folder, stage, *ONE, "--method", "takd")
    return folders


def run(folder: Path, stage: str, *options: str) -> Ended:
    ended = run_stage_here(folder, stage, *options)
    assert ended.status == 0, ended.errors
    return ended


def rows(folder: Path) -> dict[str, int]:
    return json.loads((folder / "outputs/split/payment/metrics.json").read_text(encoding="utf-8"))["rows"]


def metrics(folder: Path, method: str) -> dict:
    return json.loads((folder / f"outputs/student/payment/{method}/1/metrics.json").read_text(encoding="utf-8"))


def weights(folder: Path, method: str) -> bytes:
    return (folder / f"outputs/student/payment/{method}/1/model/model.safetensors").read_bytes()


@pytest.mark.parametrize("method", ["kd", "pkd", "tinybert", "prokd", "pesf_kd", "takd"])
def test_methods_that_need_no_quiz_train_on_its_rows_too(ran: Mapping[bool, Path], method: str) -> None:
    counts, found = rows(ran[True]), metrics(ran[True], method)
    assert found["trained_on"] == ["train", "quiz"]
    assert found["train_rows"] == counts["train"] + counts["quiz"]
    assert found["updates"]["student"] == 2 * math.ceil(found["train_rows"] / 32)
    plain = metrics(ran[False], method)
    assert (plain["trained_on"], plain["train_rows"]) == (["train"], counts["train"])
    assert weights(ran[True], method) != weights(ran[False], method)


@pytest.mark.parametrize("method", ["metadistil", "mse_kd"])
def test_the_curriculums_base_and_a_teacher_that_reads_the_quiz_leave_it_alone(
    ran: Mapping[bool, Path], method: str
) -> None:
    assert metrics(ran[True], method)["trained_on"] == ["train"]
    assert weights(ran[True], method) == weights(ran[False], method)
    ended = run(ran[True], "student", *ONE, "--method", method)
    assert "trains on train alone" in ended.errors


def test_the_teacher_is_the_same_with_the_key_and_without_it(ran: Mapping[bool, Path]) -> None:
    teachers = [ran[joins] / "outputs/teacher/payment/1/model/model.safetensors" for joins in (True, False)]
    assert teachers[0].read_bytes() == teachers[1].read_bytes()


def test_signals_and_trajectory_are_of_the_rows_in_their_order(ran: Mapping[bool, Path]) -> None:
    counts, outputs = rows(ran[True]), ran[True] / "outputs"
    tokens, signals = outputs / "split/payment/tokens", outputs / "signals/payment/1/signals"
    train, quiz = open_split(tokens, "train"), open_split(tokens, "quiz")
    both, said = joined([train, quiz]), open_joined(signals, {name: counts[name] for name in ("train", "quiz")})
    trajectory = open_trajectory(outputs / "teacher/payment/1/trajectory", rows=len(both))
    last = [json.loads(line) for line in (outputs / "teacher/payment/1/curves.jsonl").read_text().splitlines()]
    kept = trajectory[[row["best"] for row in last].index(1)]
    assert torch.allclose(kept, said.logits, atol=1e-5)
    for name, split, first in (("train", train, 0), ("quiz", quiz, len(train))):
        own = load_file(signals / f"{name}.safetensors")
        for row in (0, 5, len(split) - 1):
            assert both.row_ids[first + row] == split.row_ids[row]
            assert both.input_ids(first + row).tolist() == split.input_ids(row).tolist()
            assert both.labels[first + row] == split.labels[row]
            found = said.of_rows(torch.tensor([first + row]), sorted(said.vectors))
            assert torch.equal(found.logits[0], own["logits"][row])
            for layer, vectors in found.vectors.items():
                assert torch.equal(vectors[0], own[f"vectors.{layer}"][row].float())


def test_without_the_key_the_vectors_of_the_quiz_are_not_stored(ran: Mapping[bool, Path]) -> None:
    stored = load_file(ran[False] / "outputs/signals/payment/1/signals/quiz.safetensors")
    assert set(stored) == {"logits", "pooled"}


def test_signals_of_another_key_are_one_line_that_says_what_to_run(ran: Mapping[bool, Path]) -> None:
    counts, signals = rows(ran[False]), ran[False] / "outputs/signals/payment/1/signals"
    with pytest.raises(
        ValueError, match="train and quiz hold the vectors of different layers; run the signals stage again"
    ):
        open_joined(signals, {name: counts[name] for name in ("train", "quiz")})
