"""student: the small model of one dataset, trained by one method on the teacher's signals, or with the teacher.

    python -m tasks.student --dataset rte --method mse_kd --seed 42

Reads: the dataset's tokens, the teacher's signals, its trajectory where the method learns from that, and the teacher
itself where it trains with the student or `student.init: teacher_layers` asks for it. Writes: outputs/student/<dataset>/<method>/<seed>/model (a stock Hugging Face folder), metrics.json,
curves.jsonl (one row an epoch, with the parts of the loss), influence.jsonl (lgtm), run.json.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import torch
from accelerate import Accelerator

from data.batches import Batch
from method_sections import StudentMethod
from methods.seam import Method, Needs, Phase, Scheduled, TeacherUse
from models.classifier import Classifier
from models.outputs import Outputs
from models.store import save_model
from tasks.chosen_method import make_method
from tasks.compared_layers import MOVING
from tasks.datasets import TokenisedDataset, open_dataset
from tasks.joint_training import train_with_teacher
from tasks.layout import signals_folder, teacher_model, trajectory_folder
from tasks.networks import depth_of, parameter_count, start_student
from tasks.settings import training_settings
from tasks.stage import Stage, StageError, run_stage, spent
from tasks.torch_runtime import start_torch
from training.joint import JointRun
from training.loop import BatchLoss, score, train
from training.signals import Signals, open_signals, open_trajectory


def student(stage: Stage) -> None:
    """Train one student by one method."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    start = start_student(stage, dataset, teacher)
    for note in start.notes:
        stage.say(note)
    model = start.classifier
    if stage.method in MOVING:
        run = train_with_teacher(stage, model, dataset, teacher, accelerator)
    else:
        run = _train_on_fixed_teacher(stage, model, dataset, teacher, accelerator)
    scores = score(
        model,
        dataset.split("selection"),
        dataset.target,
        batch_size=given.evaluate.batch_size,
        device=accelerator.device,
    )
    save_model(
        stage.folder / "model",
        model,
        tokenizer_folder=dataset.tokenizer_folder,
        tokenizer_fingerprint=dataset.tokenizer_fingerprint,
    )
    stage.write_rows(run.curves)
    if run.influence:
        stage.write_rows(run.influence, "influence.jsonl")
    updates = {"student": run.student_updates, "teacher": run.teacher_updates}
    stage.write_metrics(
        {
            "selection": scores,
            "selected_on": dataset.selected_on,
            "parameters": parameter_count(model, dataset.spec.name),
            "updates": updates,
            "rows_seen": given.student.epochs * len(dataset.split("train")),
            **spent(),
        }
    )
    stage.headline = f"{dataset.spec.metrics[0]} {scores[dataset.spec.metrics[0]]:.3f} on {dataset.selected_on}"


def _train_on_fixed_teacher(
    stage: Stage, model: Classifier, dataset: TokenisedDataset, teacher: Path, accelerator: Accelerator
) -> JointRun:
    """A method whose teacher stays as it is: its signals, or its trajectory, are read by row."""
    given, train_rows = stage.parameters, dataset.split("train")
    method = make_method(given, stage.method, student_layers=model.num_layers, teacher_layers=depth_of(teacher))
    _check_kind(stage.method, dataset)
    signals = _signals(stage, dataset, method.needs.teacher)
    trajectory = _trajectory(stage, dataset, method.needs.teacher)
    _project_if_needed(model, signals, method.needs, stage.seed)
    model.to(accelerator.device)
    # Weights and projection are drawn: what follows must not depend on how many numbers that took.
    torch.manual_seed(stage.seed)
    settings = training_settings(given.student, stage.seed, given.evaluate.batch_size)
    curves = train(
        model,
        train_rows,
        dataset.split("selection"),
        dataset.target,
        lambda epoch: _epoch_loss(method, epoch, given.student.epochs, signals, trajectory, model, dataset),
        settings,
        accelerator=accelerator,
        layers=method.needs.student_layers,
        title=stage.title,
    )
    steps = given.student.epochs * math.ceil(len(train_rows) / given.student.batch_size)
    return JointRun(curves, [], student_updates=steps, teacher_updates=0)


def _epoch_loss(
    method: Method | Scheduled,
    epoch: int,
    epochs: int,
    signals: Signals | None,
    trajectory: list[torch.Tensor],
    model: Classifier,
    dataset: TokenisedDataset,
) -> BatchLoss:
    """The method's loss in one epoch, the teacher's outputs looked up by row."""
    phase = method.phase(epoch, epochs, len(trajectory)) if isinstance(method, Scheduled) else Phase("", method)
    layers = phase.method.needs.teacher_layers

    def loss(outputs: Outputs, batch: Batch) -> Mapping[str, torch.Tensor]:
        said = signals.of_rows(batch.rows, layers) if signals is not None else None
        if said is not None and phase.teacher_epoch is not None:
            logits = trajectory[phase.teacher_epoch - 1][batch.rows.cpu()].to(batch.rows.device)
            said = Outputs(logits=logits, pooled=said.pooled, vectors=said.vectors)
        return phase.method.loss(outputs, said, batch.labels, dataset.spec.kind, projection=model.projection)

    return loss


def _check_kind(method: str, dataset: TokenisedDataset) -> None:
    """Refuse what has no meaning before anything trains."""
    kind, classes = dataset.spec.kind, dataset.spec.num_classes
    if method in ("dist", "skd") and kind == "regression":
        raise StageError(
            f"{method}: {dataset.spec.name} is a regression, which has no classes to relate; use kd or mse_kd"
        )
    if method == "skd" and classes < 3:
        raise StageError(
            f"skd: {dataset.spec.name} has {classes} classes; with fewer than 3 a centred unit vector of logits has no "
            "gradient. Use kd or dist"
        )


def _signals(stage: Stage, dataset: TokenisedDataset, use: TeacherUse) -> Signals | None:
    if use == "none":
        return None
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    return open_signals(folder, "train", rows=len(dataset.split("train")))


def _trajectory(stage: Stage, dataset: TokenisedDataset, use: TeacherUse) -> list[torch.Tensor]:
    if use != "trajectory":
        return []
    folder = stage.read(trajectory_folder(stage.dataset, stage.seed))
    return open_trajectory(folder, rows=len(dataset.split("train")))


def _project_if_needed(model: Classifier, signals: Signals | None, needs: Needs, seed: int) -> None:
    """Give a student of another width than the teacher's the learned projection that its method trains."""
    if signals is None or not (needs.pooled or needs.layers):
        return
    width = signals.pooled.shape[-1]
    if width != model.hidden_size:
        model.add_projection(width, seed)


if __name__ == "__main__":
    run_stage(
        "student",
        student,
        keys=("dataset", "method", "seed"),
        sections=("threads", "models", "teacher", "student", *get_args(StudentMethod), "split", "source"),
    )
