"""A combination of method and dataset or networks that has no meaning is one clear error before anything trains."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from stages import Ended, merged, run_stage_here, write_params

TINY: dict[str, object] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
TWO = {"kind": "single", "text": "text", "label": "label", "labels": ["bad", "good"], "id": "id"}
SCORES = {"kind": "regression", "text": ["one", "other"], "label": "label", "range": [0, 5], "id": "id"}


def dataset(folder: Path, name: str, description: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
    own = folder / "data" / name
    own.mkdir(parents=True)
    (own / "dataset.yaml").write_text(yaml.safe_dump(dict(description)))
    (own / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def params(folder: Path, method: str, **sections: object) -> None:
    """Two small datasets, two-layer networks, and one method."""
    small: dict[str, object] = {
        "benchmark": "own",
        "datasets": ["reviews", "scores"],
        "methods": [method],
        "seeds": [1],
        "threads": 1,
        "source": {"folder": "data"},
        "split": {"selection_minimum": 8},
        "teacher": {"epochs": 1, "config": {**TINY, "num_hidden_layers": 3}},
        "student": {"epochs": 1, "config": TINY},
    }
    write_params(folder, **merged(small, sections))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of three layers for a dataset of two classes, and one for a regression, with their signals."""
    folder, draw = tmp_path_factory.mktemp("methods"), random.Random(0)
    good = [draw.random() < 0.5 for _ in range(100)]
    reviews = [
        {"id": f"r{n}", "text": f"{'yes' if one else 'no'} {n}", "label": int(one)} for n, one in enumerate(good)
    ]
    scores = [{"id": f"s{n}", "one": f"a {n}", "other": f"b {n}", "label": draw.uniform(0, 5)} for n in range(100)]
    dataset(folder, "reviews", TWO, reviews)
    dataset(folder, "scores", SCORES, scores)
    params(folder, "kd")
    for name in ("reviews", "scores"):
        for stage, options in (
            ("source", ()),
            ("split", ()),
            ("teacher", ("--seed", "1")),
            ("signals", ("--seed", "1")),
        ):
            ended = run_stage_here(folder, stage, "--dataset", name, *options)
            assert ended.status == 0, ended.errors
    return folder


def student(folder: Path, method: str, name: str) -> Ended:
    return run_stage_here(folder, "student", "--dataset", name, "--method", method, "--seed", "1")


def refused(folder: Path, ended: Ended, *said: str) -> None:
    """Status 2 and one line with these parts; nothing was trained and nothing is left."""
    assert ended.status == 2 and ended.output == ""
    lines = [line for line in ended.errors.splitlines() if line.strip()]
    assert len(lines) == 1, ended.errors
    for part in said:
        assert part in lines[0]
    assert not (folder / "outputs" / "student").exists()
    assert not list((folder / "outputs" / ".partial").glob("*"))


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of any optimiser in a refused run fails the test."""
    monkeypatch.setattr("training.supervised.make_optimizer", lambda *_: pytest.fail("a training began"))
    monkeypatch.setattr("training.co_training.make_optimizer", lambda *_: pytest.fail("a training began"))


@pytest.mark.parametrize("method", ["dist", "skd"])
def test_a_regression_has_no_classes_to_relate(taught: Path, method: str) -> None:
    params(taught, method)
    refused(taught, student(taught, method, "scores"), f"{method}: scores is a regression", "use kd or mse_kd")


def test_two_classes_give_skd_no_gradient(taught: Path) -> None:
    params(taught, "skd")
    refused(taught, student(taught, "skd", "reviews"), "skd: reviews has 2 classes", "Use kd or dist")


def test_pkd_needs_a_student_of_two_layers(taught: Path) -> None:
    params(taught, "pkd", student={"config": {**TINY, "num_hidden_layers": 1}})
    said = ("needs a student of 2 layers or more and a deeper teacher, but they have 1 and 3", "use kd")
    refused(taught, student(taught, "pkd", "reviews"), *said)


def test_pkd_needs_a_deeper_teacher(taught: Path) -> None:
    params(taught, "pkd", student={"config": {**TINY, "num_hidden_layers": 3}})
    refused(taught, student(taught, "pkd", "reviews"), "a deeper teacher, but they have 3 and 3")


@pytest.mark.parametrize("method", ["mse_kd", "metadistil"])
def test_a_mapping_to_a_layer_that_is_not_there_is_refused(taught: Path, method: str) -> None:
    params(taught, method, **{method: {"mapping": [[1, 9]], "beta": 1.0}})
    refused(taught, student(taught, method, "reviews"), f"{method}: layer mapping [1, 9]", "teacher layer 0-3")


@pytest.mark.parametrize("method", ["rco", "prokd"])
def test_a_method_along_the_teachers_training_needs_its_epochs(taught: Path, method: str) -> None:
    params(taught, method)
    ended = student(taught, method, "reviews")
    assert ended.status == 2
    assert f"{method} learns from the teacher's epochs; set teacher.trajectory: true" in ended.errors


@pytest.mark.parametrize(
    ("method", "section"),
    [
        ("kd", {"kd": {"beta": 1.0}}),
        ("pkd", {"pkd": {"mapping": "uniform"}}),
        ("skd", {"skd": {"gamma": 1.0}}),
        ("dml", {"dml": {"quiz_batches": 1}}),
        ("prokt", {"prokt": {"pilot": False}}),
        ("metadistil", {"metadistil": {"influence": {"weight": 1.0}}}),
        ("lgtm", {"lgtm": {"pilot": True}}),
    ],
)
def test_a_parameter_of_another_method_is_refused(taught: Path, method: str, section: Mapping[str, object]) -> None:
    params(taught, method, **section)
    ended = student(taught, method, "reviews")
    [(name, keys)] = section.items()
    assert ended.status == 2 and isinstance(keys, dict)
    assert f"{name}.{next(iter(keys))}: unknown key" in ended.errors
