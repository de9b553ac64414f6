"""student: the small model of one dataset, trained by one method on the teacher's signals, or with the teacher.

    python -m tasks.student --dataset rte --method mse_kd --seed 42

Reads: the dataset's tokens, the teacher's signals, its trajectory where the method learns from that, and the teacher
itself where it trains with the student, where the method reads all tokens, or where `student.init: teacher_layers` asks
for it. Writes: outputs/student/<dataset>/<method>/<seed>/model (a stock Hugging Face folder), metrics.json,
curves.jsonl (one row an epoch, with the parts of the loss), influence.jsonl (lgtm), run.json.
"""

from pathlib import Path

from config.methods import BY_NAME
from methods.interface import TeacherUse
from models.checkpoints import depth_of
from models.classifier import Classifier
from outputs import signals_folder, teacher_model, trajectory_folder
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.co_training import train_with_teacher
from tasks.student_training.fixed_teacher import check_kind, train_on_fixed_teacher
from tasks.student_training.method_factory import make_method
from tasks.student_training.student_output import best_student, write_student
from tasks.student_training.training_rows import row_counts, taught_splits, training_splits
from training.co_training import JointRun
from training.fixed_teacher import FixedTeacher
from training.teacher_signals import open_joined, open_trajectory


def student(stage: Stage) -> None:
    """Train one student by one method."""
    dataset = open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    splits = training_splits(stage.parameters, stage.method)
    if splits != taught_splits(stage.parameters):
        stage.say(f"trains on {' and '.join(splits)} alone; split.quiz_joins_train is for methods that need no quiz")

    def train(own: Stage, model: Classifier) -> JointRun:
        if BY_NAME[own.method].teacher == "moves":
            return train_with_teacher(own, model, dataset, teacher, accelerator)
        depths = {"student_layers": model.num_layers, "teacher_layers": depth_of(teacher)}
        method = make_method(own.parameters, own.method, **depths)
        check_kind(own.method, dataset)
        fixed = _fixed_teacher(own, dataset, teacher, method.needs.teacher, splits)
        return train_on_fixed_teacher(own, model, dataset, method, fixed, accelerator, splits)

    write_student(stage, best_student(stage, dataset, teacher, train), dataset, accelerator, splits)


def _fixed_teacher(
    stage: Stage, dataset: TokenisedDataset, teacher: Path, use: TeacherUse, splits: tuple[str, ...]
) -> FixedTeacher:
    """Return the method's needs of a fixed teacher: its signals are those of the training rows."""
    if use == "none":
        return FixedTeacher()
    if use == "runs":
        return FixedTeacher(network=dataset.load(teacher, attention=stage.parameters.models.attention))
    rows = row_counts(dataset, splits)
    signals = open_joined(stage.read(signals_folder(stage.dataset, stage.seed)), rows)
    if use != "trajectory":
        return FixedTeacher(signals)
    stored = sum(row_counts(dataset, taught_splits(stage.parameters)).values())
    epochs = open_trajectory(stage.read(trajectory_folder(stage.dataset, stage.seed)), rows=stored)
    return FixedTeacher(signals, [logits[: sum(rows.values())] for logits in epochs])


if __name__ == "__main__":
    run_stage("student", student)
