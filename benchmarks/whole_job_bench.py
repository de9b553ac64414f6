"""MPDistil on RTE from end to end, against the same job with an online teacher, padding to 128 and nothing reused.

The whole job takes the better part of an hour on one core. So each of its parts is timed on some of its batches, spread
evenly over the job's own, and multiplied by how many batches the job has: 1 epoch of the teacher, 2 of the student, 2 of
the meta-teacher, 5 episodes of 8 steps. Stages' start-up is left out on both sides.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.measuring import Measurement, Step, cpu_seconds, row_of, seconds_of
from benchmarks.pieces_bench import (
    BATCH,
    EVAL_BATCH,
    PROBE_ROWS,
    curriculum_seconds,
    recorded_sources,
    sampled_batches,
    training_step,
)
from benchmarks.plain_job import curriculum_step, forward_step, online_step, padded_batches, stock_network
from benchmarks.workspace import HIDDEN, LAYERS, Workspace, network
from data.batches import Batch, batch_order, collate, draw_rows
from data.tokens import TokenSplit
from methods.finetune import Finetune
from methods.layer_mapping import match_layers
from methods.mse_kd import MseKd
from training.meta_teacher import MetaTeacherSettings, PooledRows, train_meta_teacher
from training.quiz_batches import fixed_batches
from training.teacher_signals import TeacherSignals

TARGET = 0.40
TEACHER_EPOCHS, STUDENT_EPOCHS, META_EPOCHS, EPISODES, EPISODE_STEPS = 1, 2, 2, 5, 8
SAMPLES = 6
"""Batches of each part that are timed in a repetition."""


@dataclass(frozen=True)
class Part:
    """A part of the job: (seconds a batch, batches) of what it does, ours and plain, by repetition."""

    name: str
    ours: list[float]
    plain: list[float]


def rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """Time the whole job and its parts."""
    parts = [*_training(workspace, repetitions), *_reading(workspace, repetitions), _curriculum(workspace, repetitions)]
    whole = [[sum(getattr(part, side)[i] for part in parts) for i in range(repetitions)] for side in ("ours", "plain")]
    name = "mpdistil on rte from end to end, against online teacher, padding to 128, no reuse"
    return [
        row_of(name, "CPU s", whole[0], whole[1], TARGET),
        *(row_of(f"  of which {part.name}", "CPU s", part.ours, part.plain, None) for part in parts),
    ]


def _training(workspace: Workspace, repetitions: int) -> list[Part]:
    """The steps of the teacher and of the student."""
    train = workspace.split("rte", "train")
    steps = math.ceil(len(train) / BATCH)
    layers = tuple(match_layers("uniform", LAYERS["student"], LAYERS["teacher"]))
    method = MseKd(0.5, 90.0, 5.0, temperature_squared=False, alpha_on="task", layers=layers)
    ours, plain = sampled_batches(train, SAMPLES), padded_batches(train, SAMPLES, BATCH)
    signals = _signals(train, method.needs.teacher_layers)
    teacher = {
        "ours": training_step(network("teacher"), Finetune(), ours, signals),
        "plain": training_step(stock_network("teacher"), Finetune(), plain, signals),
    }
    student = {
        "ours": training_step(network("student"), method, ours, signals),
        "plain": online_step(stock_network("student"), stock_network("teacher"), method, cycle(plain)),
    }
    return [
        _timed("the teacher's training", teacher, TEACHER_EPOCHS * steps, TEACHER_EPOCHS * steps, repetitions),
        _timed("the student's training", student, STUDENT_EPOCHS * steps, STUDENT_EPOCHS * steps, repetitions),
    ]


def _reading(workspace: Workspace, repetitions: int) -> list[Part]:
    """Passes that train no backbone: storing signals, scoring epochs, training the meta-teacher."""
    splits = {name: workspace.split("rte", name) for name in ("train", "quiz", "selection", "dev")}
    batches = {name: math.ceil(len(split) / EVAL_BATCH) for name, split in splits.items()}
    passes = {
        (side, kind): forward_step([made(kind)], drawn)
        for kind in ("teacher", "student")
        for side, made, drawn in (
            ("ours", network, _grouped(splits["train"])),
            ("plain", stock_network, _padded(splits["train"], EVAL_BATCH)),
        )
    }
    teacher, student = ({side: passes[side, kind] for side in ("ours", "plain")} for kind in ("teacher", "student"))
    # Both sides score the teacher after each epoch and at the end, and know what it says about dev.
    scored = (TEACHER_EPOCHS + 1) * batches["selection"]
    both = [stock_network("teacher"), stock_network("student")]
    meta = _timed(
        "",
        {"ours": _head_training(splits), "plain": forward_step(both, _padded(splits["quiz"], BATCH))},
        1,
        META_EPOCHS * math.ceil(len(splits["quiz"]) / BATCH),
        repetitions,
    )
    # The plain meta-teacher runs both networks on selection before the first epoch and after each.
    again = (META_EPOCHS + 1) * batches["selection"]
    from_teacher = _timed("", teacher, scored + sum(batches.values()), scored + batches["dev"] + again, repetitions)
    looks = (STUDENT_EPOCHS + 1 + EPISODES + 1) * batches["selection"]
    from_student = _timed("", student, looks + batches["quiz"], looks + again, repetitions)
    return [
        Part("the teacher's other passes, stored or repeated", from_teacher.ours, from_teacher.plain),
        Part("the student's other passes", from_student.ours, from_student.plain),
        Part("the meta-teacher's steps", meta.ours, meta.plain),
    ]


def _curriculum(workspace: Workspace, repetitions: int) -> Part:
    quiz, selection = workspace.split("rte", "quiz"), workspace.split("rte", "selection")
    steps, chosen = EPISODES * EPISODE_STEPS, draw_rows(len(selection), PROBE_ROWS, 0)
    probe = fixed_batches(selection, chosen, EVAL_BATCH)
    ours = [steps * curriculum_seconds(quiz, probe, recorded_sources(quiz, number)) for number in range(repetitions)]
    wide = padded_batches(selection, 1, PROBE_ROWS)
    step = curriculum_step(stock_network("student"), wide, _padded(quiz, BATCH))
    plain = [steps * statistics.fmean([seconds_of(step) for _ in range(SAMPLES)][1:]) for _ in range(repetitions)]
    return Part("the curriculum's steps", ours, plain)


def _timed(name: str, steps: Mapping[str, Step], ours: int, plain: int, repetitions: int) -> Part:
    """Time the given number of batches on either side, interleaved."""
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(repetitions):
        for side, seconds in cpu_seconds(steps, SAMPLES).items():
            found[side].append(statistics.fmean(seconds))
    return Part(name, [ours * value for value in found["ours"]], [plain * value for value in found["plain"]])


def _grouped(split: TokenSplit) -> Iterator[Batch]:
    """Batches of equal lengths, spread evenly from the longest to the shortest."""
    order = batch_order(split.lengths, EVAL_BATCH, seed=0, epoch=0, shuffle=False)
    places = np.linspace(0, len(order) - 1, SAMPLES).astype(int)
    return cycle([collate(split, order[place]) for place in places])


def _padded(split: TokenSplit, size: int) -> Iterator[Batch]:
    return cycle(padded_batches(split, SAMPLES, size))


def _head_training(splits: Mapping[str, TokenSplit]) -> Step:
    """All epochs of the meta-teacher on stored vectors."""
    draw = torch.Generator().manual_seed(0)
    quiz, selection = (
        PooledRows(
            torch.randn(len(splits[name]), HIDDEN, generator=draw),
            torch.randn(len(splits[name]), HIDDEN, generator=draw),
            torch.from_numpy(np.array(splits[name].labels)),
        )
        for name in ("quiz", "selection")
    )
    settings = MetaTeacherSettings(
        loss="collaborative",
        learning_rate=1e-3,
        weight_decay=0.01,
        epochs=META_EPOCHS,
        batch_size=BATCH,
        dropout=0.1,
        max_grad_norm=1.0,
        patience=META_EPOCHS,
        label_range=None,
        seed=0,
    )
    weight = torch.randn(2, HIDDEN, generator=draw)
    return partial(
        train_meta_teacher, quiz, selection, weight, None, kind="pair", settings=settings, accelerator=Accelerator()
    )


def _signals(split: TokenSplit, layers: tuple[int, ...]) -> TeacherSignals:
    draw = torch.Generator().manual_seed(3)

    def values(width: int) -> torch.Tensor:
        return torch.randn(len(split), width, generator=draw)

    return TeacherSignals(values(2), values(HIDDEN), {layer: values(HIDDEN).half() for layer in layers})
