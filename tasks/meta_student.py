"""meta_student: a student trained on the teacher's signals with the meta-teacher's logits in place of the teacher's.

    python -m tasks.meta_student --dataset rte --method kd --seed 42

Hidden vectors are the teacher's own: the meta-teacher is a head on them. Reads: the dataset's tokens, the signals, the
meta-teacher's head, and the teacher where `student.init: teacher_layers` asks for it. Writes:
outputs/student/<dataset>/<method>_meta/<seed>, as the student stage does.
"""

from dataclasses import replace

from safetensors.torch import load_file

from models.checkpoints import depth_of
from models.classifier import Classifier
from outputs import meta_teacher_folder, signals_folder, teacher_model
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.fixed_teacher import check_kind, train_on_fixed_teacher
from tasks.student_training.method_factory import make_method
from tasks.student_training.student_output import best_student, write_student
from training.co_training import JointRun
from training.fixed_teacher import FixedTeacher, reworded
from training.teacher_signals import open_signals


def meta_student(stage: Stage) -> None:
    """Train one student on the meta-teacher's logits."""
    dataset = open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    check_kind(stage.method, dataset)
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    signals = open_signals(folder, "train", rows=len(dataset.split("train")))
    head = load_file(stage.read(meta_teacher_folder(stage.dataset, stage.seed)) / "head.safetensors")
    said = reworded(signals, head["head.weight"], head.get("head.bias"))

    def train(own: Stage, model: Classifier) -> JointRun:
        depths = {"student_layers": model.num_layers, "teacher_layers": depth_of(teacher)}
        method = make_method(own.parameters, own.method, **depths)
        run = train_on_fixed_teacher(own, model, dataset, method, FixedTeacher(said), accelerator)
        return replace(run, feedback_rows=len(dataset.split("quiz")))  # they taught the meta-teacher

    write_student(stage, best_student(stage, dataset, teacher, train), dataset, accelerator)


if __name__ == "__main__":
    run_stage("meta_student", meta_student)
