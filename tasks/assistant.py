"""assistant: the network that replaces the teacher for takd or sftn, made once per dataset and seed.

    python -m tasks.assistant --dataset rte --method takd --seed 42

takd: a network of a size between teacher and student, distilled from the teacher's signals with the student's settings.
sftn: the teacher, trained with student branches and the teacher's settings; the branches are dropped.

Reads: the dataset's tokens, the teacher and (takd) its signals. Writes: outputs/assistant/<dataset>/<method>/<seed> with
model (a stock Hugging Face folder), signals (as the signals stage's), metrics.json, curves.jsonl, run.json.
"""

import math
from pathlib import Path

from accelerate import Accelerator

from config.methods import BY_NAME
from models.branches import Branched
from models.classifier import Classifier
from outputs import signals_folder, teacher_model
from records.trained import AssistantMetrics, AssistantUpdates, CurveRow
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, resource_usage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.fixed_teacher import check_between, train_on_fixed_teacher
from tasks.student_training.initial_models import parameter_count, start_assistant, start_student, start_teacher
from tasks.student_training.method_factory import make_assisted_method
from tasks.student_training.model_folder import write_model
from tasks.student_training.signals_output import store_signals
from tasks.student_training.training_settings import training_settings
from training.fixed_teacher import FixedTeacher
from training.supervised import train
from training.teacher_signals import open_signals

Curves = list[dict[str, float]]


def assistant(stage: Stage) -> None:
    """Make the assistant of takd or sftn."""
    dataset = open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    student = start_student(stage, dataset, teacher).classifier
    make = {"between": _between, "branched": _friendly}[BY_NAME[stage.method].assistant]
    model, curves, updates = make(stage, dataset, teacher, student, accelerator)
    write_model(stage, model, dataset)
    scores = store_signals(stage, model, dataset, device=accelerator.device)
    stage.write_rows(CurveRow, curves)
    parameters = parameter_count(model, dataset.spec.name)
    stage.write(
        AssistantMetrics(
            assistant=scores,
            selected_on=dataset.selected_on,
            parameters=parameters,
            layers=model.num_layers,
            updates=AssistantUpdates(assistant=updates),
            **resource_usage(),
        )
    )
    stage.headline = f"{dataset.headline(scores['selection'])}, {parameters} parameters"


def _between(
    stage: Stage, dataset: TokenisedDataset, teacher: Path, student: Classifier, accelerator: Accelerator
) -> tuple[Classifier, Curves, int]:
    """takd's assistant, distilled from the teacher."""
    attention = stage.parameters.models.attention
    start = start_assistant(stage, dataset, teacher)
    for note in start.notes:
        stage.say(note)
    model = start.classifier
    check_between(stage.method, model, student, dataset.load(teacher, attention=attention))
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    signals = open_signals(folder, "train", rows=len(dataset.split("train")))
    method = make_assisted_method(stage.parameters, stage.method)
    run = train_on_fixed_teacher(stage, model, dataset, method, FixedTeacher(signals), accelerator)
    return model, run.curves, run.student_updates


def _friendly(
    stage: Stage, dataset: TokenisedDataset, teacher: Path, student: Classifier, accelerator: Accelerator
) -> tuple[Classifier, Curves, int]:
    """sftn's teacher, trained with student branches, which are dropped afterwards."""
    from methods.sftn import FriendlyTeacher

    given, own = stage.parameters, stage.parameters.sftn
    if own.teacher_starts == "finetuned":
        model = dataset.load(teacher, attention=given.models.attention)
    else:
        model = start_teacher(stage, dataset).classifier
    branched = Branched(model, student, stage.seed_of("branches")).to(accelerator.device)
    start_all(stage.seed_of("dropout"))
    method = FriendlyTeacher(own.branch_weight, own.agreement_weight, own.branch_temperature)
    curves = train(
        branched,
        dataset.split("train"),
        dataset.split("selection"),
        dataset.target,
        lambda epoch: lambda outputs, batch: method.loss(outputs, batch.labels, dataset.spec.kind),
        training_settings(given, given.teacher, stage.seed_of("training")),
        accelerator=accelerator,
        checkpoints=checkpoints_of(stage, accelerator),
        title=stage.title,
    )
    updates = len(curves) * math.ceil(len(dataset.split("train")) / given.teacher.batch_size)
    return branched.teacher, curves, updates


if __name__ == "__main__":
    run_stage("assistant", assistant)
