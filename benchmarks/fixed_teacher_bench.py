"""A training step of every method that reads stored signals, against plain fine-tuning of the same student."""

from benchmarks.measuring import Measurement, Step, cpu_seconds, row_of
from benchmarks.pieces_bench import training_step
from benchmarks.problem import Shape
from methods.annealing_kd import AnnealingKd
from methods.dist import Dist
from methods.finetune import Finetune
from methods.interface import Method
from methods.kd import Kd
from methods.layer_mapping import match_layers, patient_layers
from methods.mse_kd import MseKd
from methods.pkd import Pkd

TARGET = 1.10


def measure(shape: Shape, repetitions: int) -> list[Measurement]:
    """One row a method."""
    steps = {name: step_of(shape, method) for name, method in methods(shape).items()}
    seconds = cpu_seconds({"finetune": step_of(shape, Finetune()), **steps}, repetitions)
    return [
        row_of(f"{name} on signals, against fine-tuning: time", "CPU s", seconds[name], seconds["finetune"], TARGET)
        for name in steps
    ]


def methods(shape: Shape) -> dict[str, Method]:
    """The fixed-teacher methods, for networks of this shape."""
    ours, theirs = shape.student_layers, shape.teacher_layers
    pairs = tuple(match_layers("uniform", ours, theirs))
    return {
        "kd": Kd(alpha=0.5, temperature=2.0),
        "mse_kd": MseKd(0.5, 90.0, 5.0, temperature_squared=False, alpha_on="task", layers=pairs),
        "pkd": Pkd(0.5, 100.0, 5.0, patient_layers("skip", ours, theirs)),
        "dist": Dist(alpha=1.0, beta=1.0, gamma=1.0, temperature=1.0),
        "annealing_kd": AnnealingKd(max_temperature=7, label_share=0.3).phase(1, 10, 10).method,
    }


def step_of(shape: Shape, method: Method) -> Step:
    """One update of a student of this shape, on one batch."""
    network, signals = shape.network(shape.student_layers, seed=1), shape.signals(method.needs.teacher_layers)
    return training_step(network, method, shape.batches(1, seed=4), signals)
