"""assisted: the student of takd or sftn, distilled from what its assistant says.

    python -m tasks.assisted --dataset rte --method takd --seed 42

Reads: the dataset's tokens, the assistant's signals, and the teacher where `student.init: teacher_layers` asks for it.
Writes: outputs/student/<dataset>/<method>/<seed>, as the student stage does.
"""

from tasks.networks.building import start_student
from tasks.running.datasets import open_dataset
from tasks.running.layout import assistant_signals, teacher_model
from tasks.running.stage import Stage, run_stage
from tasks.running.torch_runtime import start_torch
from tasks.students.chosen_method import make_assisted_method
from tasks.students.fixed_teacher import train_on_fixed_teacher
from tasks.students.output import write_student
from tasks.students.training_rows import row_counts, training_splits
from training.fixed_teacher import FixedTeacher
from training.running.signals import open_joined


def assisted(stage: Stage) -> None:
    """Train one student on its assistant's signals."""
    dataset = open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    start = start_student(stage, dataset, stage.read(teacher_model(stage.dataset, stage.seed)))
    for note in start.notes:
        stage.say(note)
    folder = stage.read(assistant_signals(stage.dataset, stage.method, stage.seed))
    splits = training_splits(stage.parameters, stage.method)
    signals = open_joined(folder, row_counts(dataset, splits))
    method = make_assisted_method(stage.parameters, stage.method)
    run = train_on_fixed_teacher(stage, start.classifier, dataset, method, FixedTeacher(signals), accelerator, splits)
    write_student(stage, start.classifier, dataset, run, accelerator, splits)


if __name__ == "__main__":
    run_stage(
        "assisted",
        assisted,
        keys=("dataset", "method", "seed"),
        sections=("selected_by", "threads", "models", "teacher", "student", "takd", "sftn", "split", "source"),
    )
