"""Students made in a moment: random weights, real tokens, and what the pipeline itself predicts for them."""

import functools
import json
import os
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from data.description import read_description, to_spec
from data.problems import Problems
from data.quickstart_world import random_goods, vocabulary
from data.records import DatasetSpec, Row
from data.tokens import open_split, padding_id, save_split, tokenize_split
from models.classifier import Classifier
from models.heads import HeadSpec
from models.initialise import from_config
from models.store import save_model
from models.tokenizer import build_word_tokenizer, save_tokenizer
from registry.connection import connect
from registry.pyfunc_model import log_student
from training.predict import predict

SINGLE = {"kind": "single", "text": ["text"], "labels": ["poor", "modest", "rich"]}
PAIR = {"kind": "pair", "text": ["premise", "hypothesis"], "labels": ["yes", "no", "perhaps"]}
CHOICE = {"kind": "choice", "text": ["premise"], "choices": ["one", "two"], "labels": ["first", "second"]}
SCORE = {"kind": "regression", "text": ["text"], "range": [0, 5]}
WIC = {"kind": "pair", "text": ["sentence1", "sentence2"], "mark": "wic", "labels": ["other", "same"]}
KINDS = {"single": SINGLE, "pair": PAIR, "choice": CHOICE, "regression": SCORE}
MAX_LENGTH = 24


@dataclass(frozen=True)
class MadeStudent:
    """The two folders that a registered student is made of, and the network itself."""

    student: Path
    tokens: Path
    spec: DatasetSpec
    classifier: Classifier


def make_student(
    folder: Path, description: Mapping[str, object], *, family: str = "bert", seed: int = 7, **more: object
) -> MadeStudent:
    """A student with random weights and a tokenizer of the quickstart's words; `more` are keys of the description."""
    spec = spec_of({**description, **more})
    tokenizer = build_word_tokenizer(vocabulary())
    tokens, student = folder / "tokens", folder / "model"
    tokens.mkdir(parents=True)
    save_tokenizer(tokenizer, tokens / "tokenizer", max_length=MAX_LENGTH)
    save_split(tokens, "train", tokenize_split(spec, [], tokenizer, MAX_LENGTH, padding_id(tokenizer)))
    (tokens / "spec.json").write_text(json.dumps(spec.to_json()), encoding="utf-8")
    sizes: dict[str, str | int | float] = {"model_type": family, "hidden_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64}
    head = HeadSpec(spec.name, spec.kind, spec.label_names)
    classifier = from_config(
        sizes, head, seed=seed, vocab_size=tokenizer.get_vocab_size(), pad_token_id=padding_id(tokenizer)
    ).classifier
    with torch.no_grad():  # untrained weights say next to the same of every row
        for parameter in classifier.parameters():
            parameter.mul_(4.0)
    save_model(student, classifier, tokenizer_folder=tokens / "tokenizer")
    return MadeStudent(student, tokens, spec, classifier)


def spec_of(description: Mapping[str, object]) -> DatasetSpec:
    """The spec of a description given as a dictionary."""
    problems = Problems("made")
    described = read_description(description, "dataset.yaml", problems)
    problems.raise_if_any()
    assert described is not None
    return to_spec(described, "own", "made")


def made_rows(spec: DatasetSpec, count: int, seed: int = 3) -> list[dict[str, str | int]]:
    """Raw rows of many lengths, the longest cut by MAX_LENGTH."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        row: dict[str, str | int] = {
            column: " and ".join(random_goods(rng).text for _ in range(rng.randint(1, 5))) for column in spec.columns
        }
        if spec.render["mark"] == "wic":
            row |= {"start1": 0, "end1": 3, "start2": 4, "end2": 7}
        rows.append(row)
    return rows


def pipeline_logits(made: MadeStudent, rows: Sequence[Mapping[str, str | int]], folder: Path) -> np.ndarray:
    """(N, C): what the stages predict, by their own tokens, batches and network."""
    tokenizer = build_word_tokenizer(vocabulary())
    fields = [{column: row[column] for column in made.spec.columns} for row in rows]
    checked = [Row(str(number), field, -1) for number, field in enumerate(fields)]
    save_split(folder, "dev", tokenize_split(made.spec, checked, tokenizer, MAX_LENGTH, padding_id(tokenizer)))
    split = open_split(folder, "dev")
    return predict(
        made.classifier, split, dataset=made.spec.name, batch_size=8, device=torch.device("cpu")
    ).logits.astype(np.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) -> (N, C)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@functools.cache
def _empty_store() -> Path:
    """A SQLite store whose tables are made: that costs seconds, a copy nothing."""
    path = Path(tempfile.mkdtemp(prefix="mlflow-empty-")) / "mlflow.db"
    with patch.dict(os.environ, MLFLOW_TRACKING_URI=f"sqlite:///{path}"):
        connect()
    return path


def empty_registry(folder: Path) -> str:
    """The address of a new and empty registry in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_empty_store(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


def register_student(
    name: str, student: Path, tokens: Path, artifacts: Path, *, aliases: Sequence[str] = (), card: str = "# A card\n"
) -> str:
    """Log one student and make it the next version of `name`, in the registry that MLFLOW_TRACKING_URI names."""
    client = connect()
    found = client.get_experiment_by_name("made")
    experiment = found.experiment_id if found else client.create_experiment("made", artifacts.as_uri())
    run = client.create_run(experiment)
    logged = log_student(run_id=run.info.run_id, student=student, tokens=tokens, card=card, name=name)
    if name not in {model.name for model in client.search_registered_models()}:
        client.create_registered_model(name)
    version = client.create_model_version(name, logged.model_uri, run.info.run_id, model_id=logged.model_id)
    for alias in aliases:
        client.set_registered_model_alias(name, alias, version.version)
    return str(version.version)
