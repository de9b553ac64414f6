"""From params.yaml to a method: its parameters, for the depths of the two models."""

from collections.abc import Sequence

from config import Parameters
from methods.finetune import Finetune
from methods.layers import match_layers
from methods.mse_kd import MseKd
from methods.seam import Method
from models.checkpoints import fetch
from tasks.networks import depth_of, search_folders
from tasks.stage import StageError


def make_method(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> Method:
    """The method called `name` with its section of params.yaml, for models of these depths."""
    if name == "finetune":
        return Finetune()
    if name == "mse_kd":
        values = given.mse_kd.model_dump(exclude={"mapping"})
        pairs = match_layers(given.mse_kd.mapping, student_layers, teacher_layers)
        return MseKd(**values, layers=tuple(pairs))
    raise StageError(f"--method {name}: not a method that the student stage trains; those are finetune and mse_kd")


def student_depth(given: Parameters) -> int:
    """How many layers the student has, known before there is one."""
    chosen = given.student
    if isinstance(chosen.layers, int):
        return chosen.layers
    if isinstance(chosen.layers, Sequence):
        return len(chosen.layers)
    if chosen.config is not None:
        return int(chosen.config.get("num_hidden_layers", 12))
    return depth_of(fetch(str(chosen.checkpoint), search_folders(given), given.models.revision))
