"""From params.yaml to a method: its parameters, for the depths of the two models.

Every method's module is imported where it is made: dvc.yaml makes a student depend on its own method's file alone.
"""

from config.parameters import Parameters
from errors import UserError
from methods.co_training import MovingTeacher
from methods.interface import Method, Scheduled
from methods.layer_mapping import LayerPairs
from tasks.student_training.layer_pairs import layer_pairs


def make_method(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> Method | Scheduled:
    """The method called `name` with its section of params.yaml, for models of these depths; its teacher stays fixed."""
    layers = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
    if name == "finetune":
        from methods.finetune import Finetune

        return Finetune()
    if name == "kd":
        from methods.kd import Kd

        return Kd(**given.kd.model_dump())
    if name == "mse_kd":
        from methods.mse_kd import MseKd

        return MseKd(**given.mse_kd.model_dump(exclude={"mapping"}), layers=layers)
    if name == "pkd":
        from methods.pkd import Pkd

        return Pkd(**given.pkd.model_dump(exclude={"layers"}), layers=layers)
    if name == "dist":
        from methods.dist import Dist

        return Dist(**given.dist.model_dump())
    if name == "skd":
        from methods.skd import Skd

        return Skd(**given.skd.model_dump())
    if name == "annealing_kd":
        from methods.annealing_kd import AnnealingKd

        return AnnealingKd(**given.annealing_kd.model_dump())
    if name == "rco":
        from methods.rco import Rco

        return Rco(**given.rco.model_dump())
    if name == "prokd":
        from methods.prokd import ProKd

        return ProKd(**given.prokd.model_dump())
    return _running_method(given, name, layers)


def _running_method(given: Parameters, name: str, layers: LayerPairs) -> Method | Scheduled:
    """One of RUNNING."""
    if name == "tinybert":
        from methods.tinybert import TinyBert

        return TinyBert(**given.tinybert.model_dump(exclude={"mapping"}), layers=layers)
    if name == "ckd":
        from methods.ckd import Ckd

        return Ckd(**given.ckd.model_dump(), layers=layers)
    raise UserError(f"--method {name}: not a method that the student stage trains on a fixed teacher")


def make_assisted_method(given: Parameters, name: str) -> Method:
    """takd or sftn with its section of params.yaml: what the student, and takd's assistant, minimise."""
    if name == "takd":
        from methods.takd import Takd

        return Takd(given.takd.alpha, given.takd.temperature)
    from methods.sftn import Sftn

    return Sftn(given.sftn.alpha, given.sftn.temperature)


def make_moving_method(given: Parameters, name: str, *, student_layers: int, teacher_layers: int) -> MovingTeacher:
    """One of MOVING with its section of params.yaml."""
    if name == "dml":
        from methods.dml import Dml

        return Dml(**given.dml.model_dump(exclude={"teacher_learning_rate"}))
    if name == "prokt":
        from methods.prokt import ProKt

        return ProKt(**given.prokt.model_dump(exclude={"teacher_learning_rate"}))
    if name == "pesf_kd":
        from methods.pesf_kd import PesfKd

        return PesfKd(**given.pesf_kd.model_dump(exclude={"teacher_learning_rate"}))
    if name == "metadistil":
        from methods.metadistil import MetaDistil

        layers = layer_pairs(given, name, student_layers=student_layers, teacher_layers=teacher_layers)
        own = given.metadistil.model_dump(exclude={"mapping", "quiz_batch_size", "teacher_learning_rate"})
        return MetaDistil(**own, layers=layers)
    from methods.lgtm import Influence, Lgtm

    own = given.lgtm.model_dump(
        exclude={"influence", "quiz_batch_size", "teacher_learning_rate", "feedback", "zero_heads"}
    )
    return Lgtm(**own, influence=Influence(given.lgtm.influence.weight, given.lgtm.influence.form))
