"""Training of a student together with its teacher, for methods that read no signals."""

from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from config.method_parameters import Moving
from config.parameters import Parameters
from models.checkpoints import depth_of
from models.classifier import Classifier
from outputs import signals_folder
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.runtime.torch_setup import check_whole_parameters, compile_if_asked
from tasks.student_training.initial_models import start_teacher
from tasks.student_training.method_factory import make_moving_method
from tasks.student_training.training_rows import row_counts, training_splits
from tasks.student_training.training_settings import training_settings
from training.co_training import JointRun, JointSettings, JointSplits, StoredTeacher, train_jointly
from training.teacher_signals import open_joined


def train_with_teacher(
    stage: Stage, model: Classifier, dataset: TokenisedDataset, teacher_folder: Path, accelerator: Accelerator
) -> JointRun:
    """Train the student and a copy of its teacher, which is discarded.

    Args:
        teacher_folder: the teacher stage's model; a method may start from where that one started instead.
    """
    check_whole_parameters(f"{stage.method}, whose teacher trains with the student,")
    given = stage.parameters
    method = make_moving_method(
        given, stage.method, student_layers=model.num_layers, teacher_layers=depth_of(teacher_folder)
    )
    if method.teacher_starts == "finetuned":
        teacher = dataset.load(teacher_folder, attention=given.models.attention)
    else:
        teacher = start_teacher(stage, dataset).classifier
    if method.needs.pooled and teacher.hidden_size != model.hidden_size:
        model.add_projection(teacher.hidden_size, stage.seed_of("projection"))
    section = moving_section(given, stage.method)
    if section.heads_at_zero:
        for network in (model, teacher):
            zero_head(network)
    train_on = training_splits(given, stage.method)
    stored = _stored(stage, dataset, train_on) if method.needs.teacher == "head_moves" else None
    model.to(accelerator.device)
    teacher.to(accelerator.device)
    for network in (model, teacher):
        compile_if_asked(stage, network)
    start_all(stage.seed_of("dropout"))
    splits = JointSplits(dataset.rows_of(train_on), dataset.split(section.feedback_split), dataset.split("selection"))
    settings = joint_settings(given, stage.method, stage.seed_of("training"))
    return train_jointly(
        model,
        teacher,
        splits,
        dataset.target,
        method,
        settings,
        accelerator=accelerator,
        checkpoints=checkpoints_of(stage, accelerator),
        title=stage.title,
        stored=stored,
    )


def _stored(stage: Stage, dataset: TokenisedDataset, train_on: tuple[str, ...]) -> StoredTeacher:
    """The teacher's pooled vectors: its frozen backbone need not run."""
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    train, selection = (open_joined(folder, row_counts(dataset, names)) for names in (train_on, ("selection",)))
    return StoredTeacher(train, selection)


def joint_settings(given: Parameters, method: str, seed: int) -> JointSettings:
    """The student's section for both, with the teacher's own learning rate, decay and clipping."""
    own = training_settings(given, given.student, seed)
    section = moving_section(given, method)
    teacher = replace(
        own,
        learning_rate=given.teacher.learning_rate
        if section.teacher_learning_rate is None
        else section.teacher_learning_rate,
        weight_decay=given.teacher.weight_decay,
        clip_norm=given.teacher.clip_norm,
    )
    return JointSettings(own, teacher, section.feedback_rows)


def moving_section(given: Parameters, method: str) -> Moving:
    """The section of a method whose teacher trains with the student."""
    section = given.of_method(method)
    assert isinstance(section, Moving)
    return section


def zero_head(network: Classifier) -> None:
    """Set a head to zero, as LGTM may."""
    with torch.no_grad():
        for value in network.head_of(network.dataset).parameters():
            value.zero_()
