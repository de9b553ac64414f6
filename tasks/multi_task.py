"""multi_task: MPDistil's rows and steps without its curriculum, the baseline that its stage 4 is measured against.

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
from outputs import OUTPUTS, signals_folder, student_model
from progress import Ticker
from records.trained import CurveRow, EpisodeRow, MultiTaskMetrics, StepRow
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import as_it_is_used, compile_if_asked, start_torch
from tasks.student_training.initial_models import parameter_count
from tasks.student_training.method_factory import make_method
from tasks.student_training.model_folder import write_model
from tasks.student_training.quizzes import (
    actions_of,
    add_heads,
    additions,
    curriculum_settings,
    exam_rows,
    rows_split,
    rows_without,
    taken,
)
from tasks.student_training.training_rows import training_splits
from training.curriculum.multi_task import train_multi_task
from training.curriculum.types import CurriculumResult, Distillation, QuizDataset
from training.quiz_batches import QuizBatches
from training.supervised import score
from training.teacher_signals import open_signals


def multi_task(stage: Stage) -> None:
    """Train the student of one dataset on the quiz splits of all of them, each as often."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset, record=False)
    accelerator = start_torch(stage)
    stage.read(OUTPUTS / "split")
    student = dataset.load(
        stage.read(student_model(stage.dataset, stage.method, stage.seed)), attention=given.models.attention
    )
    others = {name: open_dataset(stage, name, record=False) for name in given.datasets}
    add_heads(student, others, stage.seed_of("heads"))
    student.to(accelerator.device)
    compile_if_asked(stage, student)
    exam = exam_rows(stage, dataset)
    batches = actions_of(stage, others, exam)
    ticker = Ticker(stage.title, given.curriculum.episodes)
    selection = dataset.split("selection")

    def selection_scores() -> dict[str, float]:
        return score(
            student, selection, dataset.target, batch_size=given.evaluate.batch_size, device=accelerator.device
        )

    on_train = _distillation(stage, dataset, "train") if given.curriculum.target_steps else None
    start_all(stage.seed_of("dropout"))
    result = train_multi_task(
        student,
        [QuizDataset(name, others[name].spec.kind, own) for name, own in batches.items()],
        QuizBatches(
            dataset.split("quiz"),
            given.curriculum.batch_size,
            seed=stage.seed_of("batches of the reward"),
            rows=rows_without(dataset.split("quiz"), exam),
        ).one_pass,
        selection_scores,
        settings=curriculum_settings(stage, dataset.target),
        accelerator=accelerator,
        distillations=_distillations(stage, others),
        additions=additions(stage, others, on_train),
        on_episode=ticker.episode,
        checkpoints=checkpoints_of(stage, accelerator),
    )
    as_it_is_used(student)
    write_model(stage, student, dataset)
    _write_records(stage, dataset, result, batches, parameter_count(student, stage.dataset))


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


def _write_records(
    stage: Stage,
    dataset: TokenisedDataset,
    result: CurriculumResult,
    batches: Mapping[str, QuizBatches],
    parameters: int,
) -> None:
    scores = EpisodeRow.model_validate(result.episodes[result.best_episode]).selection
    base = training_splits(stage.parameters, stage.method)
    names = {"episode": "epoch", "loss": "train_loss"}
    curves = [
        {names.get(name, name): value for name, value in row.items() if value is not None and name not in DROPPED}
        for row in result.episodes
    ]
    stage.write_rows(CurveRow, curves)
    stage.write_rows(StepRow, result.steps)
    stage.write(
        MultiTaskMetrics(
            selection=scores,
            selected_on=dataset.selected_on,
            selected_by=stage.parameters.selected_by,
            parameters=parameters,
            **taken(stage, dataset, result, batches, base=base, taught_by_quiz=False),
            best_episode=result.best_episode,
        )
    )
    metric = dataset.spec.metrics[0]
    stage.headline = f"{metric} {scores[metric]:.3f} on {dataset.selected_on}, episode {result.best_episode}"


DROPPED = ("reward", "reward_binary", "reward_real")
"""Of an episode's row: there are none."""


if __name__ == "__main__":
    run_stage("multi_task", multi_task)
