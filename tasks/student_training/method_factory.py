"""Construction of methods from params.yaml, for the depths of the two models.

A method's class is found by its name; its parameters are the keys of its section that the class has fields for. dvc.yaml
makes a student depend on its own method's file alone, whatever is imported here.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields

from config.parameters import Parameters
from config.sections import MethodSection, Section
from methods.annealing_kd import AnnealingKd
from methods.ckd import Ckd
from methods.co_training import MovingTeacher
from methods.dist import Dist
from methods.dml import Dml
from methods.finetune import Finetune
from methods.interface import Method, Scheduled
from methods.kd import Kd
from methods.layer_mapping import LayerPairs
from methods.lgtm import Influence, Lgtm
from methods.metadistil import MetaDistil
from methods.mse_kd import MseKd
from methods.pesf_kd import PesfKd
from methods.pkd import Pkd
from methods.prokd import ProKd
from methods.prokt import ProKt
from methods.rco import Rco
from methods.sftn import Sftn
from methods.skd import Skd
from methods.takd import Takd
from methods.tinybert import TinyBert
from tasks.student_training.layer_pairs import layer_pairs

FIXED: Mapping[str, Callable[..., Method | Scheduled]] = {
    "finetune": Finetune,
    "kd": Kd,
    "mse_kd": MseKd,
    "pkd": Pkd,
    "dist": Dist,
    "skd": Skd,
    "annealing_kd": AnnealingKd,
    "rco": Rco,
    "prokd": ProKd,
    "tinybert": TinyBert,
    "ckd": Ckd,
}
"""Methods whose teacher, if any, is fixed."""
ASSISTED: Mapping[str, Callable[..., Method]] = {"takd": Takd, "sftn": Sftn}
MOVING: Mapping[str, Callable[..., MovingTeacher]] = {
    "dml": Dml,
    "prokt": ProKt,
    "pesf_kd": PesfKd,
    "metadistil": MetaDistil,
    "lgtm": Lgtm,
}


def make_method(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> Method | Scheduled:
    """A method with a fixed teacher by name, with its section of params.yaml, for models of these depths."""
    layers = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
    return FIXED[name](**_values(FIXED[name], given.of_method(name), layers))


def make_assisted_method(given: Parameters, name: str) -> Method:
    """takd or sftn with its section of params.yaml: the loss of the student, and of takd's assistant."""
    return ASSISTED[name](**_values(ASSISTED[name], given.of_method(name), ()))


def make_moving_method(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> MovingTeacher:
    """A method whose teacher trains with the student by name, with its section of params.yaml."""
    layers = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
    return MOVING[name](**_values(MOVING[name], given.of_method(name), layers))


def _values(method: Callable[..., object], section: MethodSection, layers: LayerPairs) -> dict[str, object]:
    """The parameters of a method's class; `layers` are pairs there, whatever a section has under that name."""
    names = {field.name for field in fields(method)}  # ty: ignore[invalid-argument-type]
    values = {name: _plain(getattr(section, name)) for name in type(section).model_fields if name in names}
    return values | ({"layers": layers} if "layers" in names else {})


def _plain(value: object) -> object:
    """Convert a nested section to the method's own class: losses never see the config."""
    return Influence(**value.model_dump()) if isinstance(value, Section) else value
