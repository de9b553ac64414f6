"""assisted_student: the student of takd or sftn, distilled from its assistant's outputs.

    python -m tasks.assisted_student --dataset rte --method takd --seed 42

Reads: the dataset's tokens, the assistant's signals, and the teacher where `student.init: teacher_layers` asks for it.
Writes: outputs/student/<dataset>/<method>/<seed>, as the student stage does.
"""

from models.classifier import Classifier
from outputs import assistant_signals, teacher_model
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.fixed_teacher import train_on_fixed_teacher
from tasks.student_training.method_factory import make_assisted_method
from tasks.student_training.student_output import best_student, write_student
from tasks.student_training.training_rows import row_counts, training_splits
from training.co_training import JointRun
from training.fixed_teacher import FixedTeacher
from training.teacher_signals import open_joined


def assisted_student(stage: Stage) -> None:
    """Train one student on its assistant's signals."""
    dataset = open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    folder = stage.read(assistant_signals(stage.dataset, stage.method, stage.seed))
    splits = training_splits(stage.parameters, stage.method)
    signals = open_joined(folder, row_counts(dataset, splits))

    def train(own: Stage, model: Classifier) -> JointRun:
        method = make_assisted_method(own.parameters, own.method)
        return train_on_fixed_teacher(own, model, dataset, method, FixedTeacher(signals), accelerator, splits)

    write_student(stage, best_student(stage, dataset, teacher, train), dataset, accelerator, splits)


if __name__ == "__main__":
    run_stage("assisted_student", assisted_student)
