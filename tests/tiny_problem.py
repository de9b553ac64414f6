"""A dataset of three classes that small networks can learn, tokenised in memory, and what a teacher says of it."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from small_networks import PADDING, VOCABULARY, small

from data.tokens import Header, TokenSplit
from epoch_choice import SelectedBy
from models.classifier import Classifier
from models.heads import HeadSpec
from training.predict import predict
from training.supervised import Target, TrainingSettings
from training.teacher_signals import TeacherSignals

SPEC = HeadSpec("colours", "pair", ("red", "green", "blue"))
TARGET = Target("colours", "pair", ("accuracy",))
CPU = torch.device("cpu")


def split(rows: int, *, seed: int) -> TokenSplit:
    """Rows of 4 to 9 tokens; most of a row's tokens are from its class's third of the vocabulary."""
    rng = np.random.default_rng(seed)
    labels, lengths = rng.integers(3, size=rows), rng.integers(4, 10, size=rows)
    third = (VOCABULARY - 6) // 3
    drawn = []
    for label, length in zip(labels, lengths, strict=True):
        classes = np.where(rng.random(length) < 0.8, label, rng.integers(3, size=length))
        drawn.append(6 + third * classes + rng.integers(third, size=length))
    header = {"dataset": "colours", "choices": 1, "pad_id": PADDING, "max_length": 9, "truncated": 0, "tokenizer": ""}
    return TokenSplit(
        row_ids=[str(row) for row in range(rows)],
        labels=labels,
        lengths=lengths,
        header=cast(Header, header),
        tokens=np.concatenate(drawn),
        types=None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
    )


@dataclass(frozen=True)
class Splits:
    """Training rows, quiz rows and selection rows."""

    train: TokenSplit
    quiz: TokenSplit
    selection: TokenSplit


def splits() -> Splits:
    """24 rows to train on, 10 of the quiz, 12 to select on."""
    return Splits(split(24, seed=1), split(10, seed=2), split(12, seed=3))


def networks() -> tuple[Classifier, Classifier]:
    """A student of two layers and a teacher of three, float32, random, with heads that have an opinion."""
    student, teacher = small("bert", SPEC, layers=2, seed=11), small("bert", SPEC, layers=3, seed=5)
    with torch.no_grad():
        student.head_of(SPEC.dataset).weight.mul_(5)
        teacher.head_of(SPEC.dataset).weight.mul_(25)
    return student, teacher


def settings(
    *,
    epochs: int = 3,
    learning_rate: float = 2e-3,
    seed: int = 1,
    selected_by: SelectedBy = "loss",
    patience: int | None = None,
) -> TrainingSettings:
    """Three steps an epoch."""
    return TrainingSettings(
        epochs,
        8,
        learning_rate,
        0.01,
        warmup=0.0,
        clip_norm=1.0,
        seed=seed,
        eval_batch_size=32,
        selected_by=selected_by,
        patience=patience,
    )


def accelerator() -> Accelerator:
    """On the CPU."""
    return Accelerator(cpu=True)


def signals(teacher: Classifier, rows: TokenSplit, layers: tuple[int, ...]) -> TeacherSignals:
    """Return the teacher's outputs for these rows, as the signals stage stores them."""
    said = predict(teacher, rows, dataset=TARGET.name, batch_size=8, device=CPU, layers=layers)
    vectors = {layer: torch.from_numpy(value) for layer, value in said.vectors.items()}
    return TeacherSignals(torch.from_numpy(said.logits), torch.from_numpy(said.pooled), vectors)
