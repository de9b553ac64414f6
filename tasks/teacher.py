"""teacher: the large model of one dataset, trained on its train split, or supplied and checked.

    python -m tasks.teacher --dataset rte --seed 42

Reads: outputs/split/<dataset>/tokens. Writes: outputs/teacher/<dataset>/<seed>/model (a stock Hugging Face folder),
metrics.json, curves.jsonl (one row an epoch), run.json.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from errors import UserError
from kinds import KINDS, LOWER_IS_BETTER
from methods.finetune import Finetune
from methods.interface import LossInputs
from metrics import compute_metrics
from models.classifier import Classifier
from records.trained import CurveRow, TeacherMetrics
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import as_it_is_used, compile_if_asked, start_torch
from tasks.student_training.initial_models import parameter_count, start_teacher
from tasks.student_training.model_folder import epochs_run, write_model
from tasks.student_training.search import BestTrial, searched
from tasks.student_training.training_rows import taught_splits
from tasks.student_training.training_settings import training_settings
from training.above_constant import LEVEL, Gain, gains_over_constant
from training.predict import predict
from training.resume_files import State
from training.supervised import train
from training.teacher_signals import save_trajectory


def teacher(stage: Stage) -> None:
    """Train the teacher, or check the one that was supplied."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    found = _found(stage, dataset, accelerator)
    model, curves, trajectory = found.trained
    as_it_is_used(model)
    if stage.writes:
        save_trajectory(stage.folder / "trajectory", trajectory)
    metrics = dataset.target.metrics
    if KINDS[dataset.spec.kind].has_classes and "accuracy" not in metrics:
        metrics = (*metrics, "accuracy")
    selection = dataset.split("selection")
    size = given.evaluate.batch_size
    logits = predict(model, selection, dataset=stage.dataset, batch_size=size, device=accelerator.device).logits
    scores = compute_metrics(("loss", *metrics), logits, selection.labels, dataset.spec.kind)
    within_noise = _compare_with_constant(stage, dataset, logits)
    write_model(stage, model, dataset)
    stage.write_rows(CurveRow, curves)
    stage.write(
        TeacherMetrics(
            selection=scores,
            selected_on=dataset.selected_on,
            selected_by=given.selected_by,
            epochs=epochs_run(stage, curves, given.teacher) if curves else None,
            parameters=parameter_count(model, dataset.spec.name),
            origin=given.teacher.origin,
            search=found.record,
            within_noise=within_noise,
        )
    )
    stage.headline = dataset.headline(scores) + found.headline


Taught = tuple[Classifier, list[dict[str, float]], list[np.ndarray]]


def _found(stage: Stage, dataset: TokenisedDataset, accelerator: Accelerator) -> BestTrial[Taught]:
    """The teacher with its curves and trajectory: supplied, trained, or the best of a search."""

    def taught(own: Stage) -> Taught:
        start = start_teacher(own, dataset)
        for note in start.notes if own.point < 2 else ():
            own.say(note)
        model = start.classifier.to(accelerator.device)
        compile_if_asked(own, model)
        return model, *_trained(own, model, dataset, accelerator)

    if stage.parameters.teacher.origin != "train":
        return BestTrial(taught(stage))
    return searched(stage, "teacher", dataset.target, taught, lambda made: made[1])


def _trained(
    stage: Stage, model: Classifier, dataset: TokenisedDataset, accelerator: Accelerator
) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Train in place; return the curves, and if requested the logits (N, C) after every epoch; nothing if supplied."""
    given, trajectory = stage.parameters, _Trajectory()
    if given.teacher.origin != "train":
        return [], trajectory.epochs
    if given.teacher.trajectory:
        trajectory.said = lambda network: _said(stage, network, dataset, accelerator)
    start_all(stage.seed_of("dropout"))
    kind, loss = dataset.spec.kind, Finetune().loss
    curves = train(
        model,
        dataset.split("train"),
        dataset.split("selection"),
        dataset.target,
        lambda epoch: lambda outputs, batch: loss(LossInputs(outputs, None, batch.labels, kind)),
        training_settings(given, given.teacher, stage.seed_of("training")),
        accelerator=accelerator,
        after_epoch=trajectory,
        checkpoints=checkpoints_of(stage, accelerator),
        title=stage.title,
    )
    return curves, trajectory.epochs


class _Trajectory:
    """The logits (N, C) of all student training rows after every epoch, if a trajectory is requested."""

    def __init__(self) -> None:
        self.epochs: list[np.ndarray] = []
        self.said: Callable[[nn.Module], np.ndarray] | None = None

    def __call__(self, epoch: int, network: nn.Module) -> None:
        if self.said is not None:
            self.epochs.append(self.said(network))

    def state_dict(self) -> State:
        return {"epochs": [torch.from_numpy(logits) for logits in self.epochs]}

    def load_state_dict(self, state: State) -> None:
        self.epochs = [logits.numpy() for logits in state["epochs"]]


def _said(stage: Stage, network: nn.Module, dataset: TokenisedDataset, accelerator: Accelerator) -> np.ndarray:
    rows, size = dataset.rows_of(taught_splits(stage.parameters)), stage.parameters.evaluate.batch_size
    return predict(network, rows, dataset=stage.dataset, batch_size=size, device=accelerator.device).logits


def _compare_with_constant(stage: Stage, dataset: TokenisedDataset, logits: np.ndarray) -> str | None:
    """Warn, or stop, if the teacher (logits (N, C) of selection) is within noise of the constant answer."""
    labels, kind = np.asarray(dataset.split("selection").labels), KINDS[dataset.spec.kind]
    gains = gains_over_constant(dataset.spec.metrics[0], dataset.spec.kind, labels, logits)
    if not any(gain.is_noise for gain in gains):
        return None
    what = "majority class" if kind.has_classes else "mean label"
    figures = " and ".join(map(_in_words, gains))
    message = (
        f"the teacher is no better than the {what} on {len(labels)} selection rows, as far as they tell: {figures}, "
        f"{100 * LEVEL:g} % interval; nothing can be distilled from it. Try more epochs or another learning rate, or check "
        "the labels"
    )
    if stage.parameters.teacher.no_better_than_majority == "error":
        raise UserError(message)
    if stage.writes:
        print(f"WARNING: {stage.title}: {message}", file=sys.stderr, flush=True)
    return message


def _in_words(gain: Gain) -> str:
    name = f"minus {gain.metric}" if gain.metric in LOWER_IS_BETTER else gain.metric
    return f"{name} {gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


if __name__ == "__main__":
    run_stage("teacher", teacher)
