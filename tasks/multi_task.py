"""multi_task: MPDistil's rows and steps without its curriculum, the baseline of its stage 4.

    python -m tasks.multi_task --dataset rte --method kd --seed 42

The student of finetune (kd) goes on for as many steps as the curriculum takes, with its learning rate, batches, choice of
the best episode and patience; each step is on a batch of a dataset drawn evenly, of the same rows as the curriculum's
actions, through that dataset's own head. finetune trains by the task loss; kd by its own, on what each dataset's own
teacher says of these rows.

Reads: the method's student, the rows of every dataset, for kd their signals. Writes:
outputs/student/<dataset>/<method>_multi/<seed>/model, curves.jsonl (a row an episode, from 0: the student that came in),
steps.jsonl (the action and loss of each step), metrics.json, run.json.
"""

from collections.abc import Mapping

import torch

from data.batches import Batch
from errors import UserError
from methods.interface import LossInputs, Scheduled
from models.model_outputs import Outputs
from outputs import signals_folder
from progress import Ticker
from records.trained import CurveRow, MultiTaskMetrics
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.student_training.method_factory import make_method
from tasks.student_training.quizzes import additions, curriculum_settings, prepare_quizzes, rows_split, taken
from tasks.student_training.training_rows import training_splits
from training.curriculum.multi_task import train_multi_task
from training.curriculum.types import Distillation
from training.teacher_signals import open_signals


def multi_task(stage: Stage) -> None:
    """Train the student of one dataset on the quiz splits of all of them, each as often."""
    begun = prepare_quizzes(stage, stage.method)
    dataset = begun.dataset
    on_train = _distillation(stage, dataset, "train") if stage.parameters.curriculum.target_steps else None
    start_all(stage.seed_of("dropout"))
    result = train_multi_task(
        begun.student,
        begun.actions,
        begun.passes.one_pass,
        begun.selection_scores,
        settings=curriculum_settings(stage, dataset.target),
        accelerator=begun.accelerator,
        distillations=_distillations(stage, begun.datasets),
        additions=additions(stage, begun.datasets, on_train),
        on_episode=Ticker(stage.title, stage.parameters.curriculum.episodes).episode,
        checkpoints=checkpoints_of(stage, begun.accelerator),
    )
    names = {"episode": "epoch", "loss": "train_loss"}
    curves = [
        {names.get(name, name): value for name, value in row.items() if value is not None and name not in DROPPED}
        for row in result.episodes
    ]
    stage.write_rows(CurveRow, curves)
    base = training_splits(stage.parameters, stage.method)
    work = taken(stage, dataset, result, begun.batches, base=base, taught_by_quiz=False)
    stage.write(MultiTaskMetrics(**begun.write(result), **work))


def _distillations(stage: Stage, datasets: Mapping[str, TokenisedDataset]) -> dict[str, Distillation]:
    """The method's loss on every dataset, on what its own teacher says of the rows; {} where it has no teacher."""
    found = {name: _distillation(stage, own, rows_split(stage, name)) for name, own in datasets.items()}
    return {name: own for name, own in found.items() if own is not None}


def _distillation(stage: Stage, dataset: TokenisedDataset, split: str) -> Distillation | None:
    """The method's loss on a split of a dataset, on what its teacher says of it; None where it has no teacher."""
    method = make_method(stage.parameters, stage.method, student_layers=0, teacher_layers=0)
    if isinstance(method, Scheduled) or method.needs.layers or method.needs.pooled:
        raise UserError(f"--method {stage.method}: reads more of its teacher than logits; use kd")
    if method.needs.teacher == "none":
        return None
    folder = stage.read(signals_folder(dataset.spec.name, stage.seed))
    signals = open_signals(folder, split, rows=len(dataset.split(split)))

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        return method.loss(LossInputs(outputs, signals.of_rows(batch.rows), batch.labels, dataset.spec.kind))

    return Distillation(loss)


DROPPED = ("reward", "reward_binary", "reward_real")
"""Columns of an episode's row that have no values here."""


if __name__ == "__main__":
    run_stage("multi_task", multi_task)
