"""Training of a student with a fixed teacher: by its stored signals or trajectory, or by running it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from accelerate import Accelerator

from config.methods import refusal
from data.batches import Batch
from errors import UserError
from methods.interface import Lasting, LossInputs, Method, Needs, Phase, Scheduled, schedule_of
from models.attention_scores import check_scores
from models.classifier import Classifier
from models.model_outputs import Outputs
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.runtime.torch_setup import compile_if_asked
from tasks.student_training.initial_models import parameter_count
from tasks.student_training.layer_pairs import check_heads
from tasks.student_training.training_settings import training_settings
from training.co_training import JointRun
from training.fixed_teacher import FixedTeacher
from training.supervised import BatchLoss, train


def train_on_fixed_teacher(
    stage: Stage,
    model: Classifier,
    dataset: TokenisedDataset,
    method: Method | Scheduled,
    teacher: FixedTeacher,
    accelerator: Accelerator,
    splits: tuple[str, ...] = ("train",),
) -> JointRun:
    """Train by a method's loss on the rows of these splits, with the settings of the student's section."""
    given, train_rows, needs = stage.parameters, dataset.rows_of(splits), method.needs
    if teacher.network is not None:
        check_pair(stage.method, model, teacher.network, needs)
        teacher.network.to(accelerator.device).eval()
    _project_if_needed(model, teacher.width, needs, stage.seed_of("projection"))
    model.to(accelerator.device)
    compile_if_asked(stage, model)
    start_all(stage.seed_of("dropout"))
    epochs = given.student.epochs
    schedule = schedule_of(method, epochs, len(teacher.trajectory)) if isinstance(method, Scheduled) else []
    _say_shares(stage, schedule)

    def phase(epoch: int) -> Phase:
        return (
            method.phase(epoch, epochs, len(teacher.trajectory)) if isinstance(method, Scheduled) else Phase("", method)
        )

    curves = train(
        model,
        train_rows,
        dataset.split("selection"),
        dataset.target,
        lambda epoch: _epoch_loss(phase(epoch), teacher, model, dataset),
        training_settings(given, given.student, stage.seed_of("training")),
        accelerator=accelerator,
        layers=needs.student_layers,
        wider=needs.wider(0),
        may_be_kept=lambda epoch: phase(epoch).may_be_kept,
        # All phases are run: a method that ends in its first one is another method.
        patient_from=epochs - schedule[-1].epochs + 1 if schedule else 1,
        checkpoints=checkpoints_of(stage, accelerator),
        title=stage.title,
    )
    steps = len(curves) * math.ceil(len(train_rows) / given.student.batch_size)
    if schedule:  # its last phase is shorter where patience ended it
        last = schedule[-1]
        schedule = [*schedule[:-1], replace(last, epochs=last.epochs - epochs + len(curves))]
    return JointRun(curves, [], student_updates=steps, teacher_updates=0, train_rows=len(train_rows), schedule=schedule)


def _say_shares(stage: Stage, schedule: Sequence[Lasting]) -> None:
    """Print a remark if the teacher's epochs teach for unequal numbers of student epochs; the metrics have each."""
    shares = [part.epochs for part in schedule if part.teacher_epoch is not None]
    if len(set(shares)) > 1:
        stage.say(
            f"{sum(shares)} epochs along {len(shares)} of the teacher's: {min(shares)} to {max(shares)} for each (schedule in "
            "metrics.json)"
        )


def _epoch_loss(phase: Phase, teacher: FixedTeacher, model: Classifier, dataset: TokenisedDataset) -> BatchLoss:
    """A method's loss in one epoch."""

    def loss(outputs: Outputs, batch: Batch) -> Mapping[str, torch.Tensor]:
        said = teacher.outputs(batch, phase, dataset.spec.name)
        return phase.method.loss(LossInputs(outputs, said, batch.labels, dataset.spec.kind, model.projection))

    return loss


def check_kind(method: str, dataset: TokenisedDataset) -> None:
    """Refuse a method without meaning for a dataset, before anything trains."""
    reason = refusal(method, dataset.spec.name, dataset.spec.kind, dataset.spec.num_classes)
    if reason is not None:
        raise UserError(reason)


def check_pair(method: str, student: Classifier, teacher: Classifier, needs: Needs) -> None:
    """Refuse two networks whose attention can't be compared head by head, before anything trains."""
    if not needs.attentions:
        return
    for network in (student, teacher):
        check_scores(network.backbone.config)
    ours, theirs = (network.backbone.config.num_attention_heads for network in (student, teacher))
    check_heads(method, ours, theirs)


def check_between(method: str, assistant: Classifier, student: Classifier, teacher: Classifier) -> None:
    """Raise UserError unless the assistant is larger than the student and smaller than the teacher."""
    sizes = [parameter_count(model, model.dataset) for model in (student, assistant, teacher)]
    if not sizes[0] < sizes[1] < sizes[2]:
        raise UserError(
            f"{method}: the assistant has {sizes[1]} parameters, but must lie between the student's {sizes[0]} and the "
            f"teacher's {sizes[2]}; change {method}.layers or {method}.config"
        )


def _project_if_needed(model: Classifier, width: int | None, needs: Needs, seed: int) -> None:
    """Give a student of another width than the teacher's its method's learned projection."""
    reads = bool(needs.pooled or needs.layers or needs.tokens) and needs.same_width
    if reads and width is not None and width != model.hidden_size:
        model.add_projection(width, seed)
