"""curriculum: stage 4 of MPDistil, in which a policy chooses the student's next dataset.

    python -m tasks.curriculum --dataset rte --method mpdistil --seed 42

Reads: the student of `mpdistil.base`, the meta-teacher, the target's signals, the quiz (or, by `curriculum.actions_rows`,
train) rows of every dataset, and with `curriculum.target_steps` the target's train rows and its teacher's depth. Writes:
outputs/student/<dataset>/mpdistil/<seed>/model, steps.jsonl (every action, log-probability, reward, both rewards of the
paper, return), episodes.jsonl (selection scores and the share of each action), metrics.json, run.json.

Where this departs from the paper (docs/papers.md): the student that comes in is a candidate, episodes are chosen on
selection and not on dev, and `gain` and `alignment` are rewards of ours; so are `actions_rows: train`, `heads: warmed`,
`gain_steps`, `target_steps` and `patience`, which the presets leave off.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from data.batches import Batch, draw_rows
from data.tokens import TokenSplit
from errors import UserError
from methods.interface import LossInputs, Scheduled
from methods.mse_kd import MseKd
from models.checkpoints import depth_of
from models.classifier import Classifier
from models.model_outputs import Outputs
from outputs import meta_teacher_folder, signals_folder, teacher_model
from progress import Ticker
from records.trained import CurriculumMetrics, EpisodeRow
from seeds import start_all
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.student_training.method_factory import make_method
from tasks.student_training.quizzes import (
    QuizTraining,
    additions,
    curriculum_settings,
    prepare_quizzes,
    rows_without,
    taken,
)
from training.curriculum.action_statistics import (
    consecutive_distances,
    consecutive_similarities,
    cumulative_shares,
    curricula,
)
from training.curriculum.episodes import run_curriculum
from training.curriculum.types import Distillation, Probe, TargetQuiz
from training.quiz_batches import fixed_batches
from training.teacher_signals import open_signals


def curriculum(stage: Stage) -> None:
    """Train the student of one dataset on a curriculum over the quiz splits of all of them."""
    begun = prepare_quizzes(stage, stage.parameters.mpdistil.base)
    dataset, student = begun.dataset, begun.student
    head = stage.read(meta_teacher_folder(stage.dataset, stage.seed))
    probe, target = _probe(stage, begun), _target(begun, head)
    by_base = _by_base(stage, dataset, student) if stage.parameters.curriculum.target_steps else None
    start_all(stage.seed_of("dropout"))
    result = run_curriculum(
        student,
        begun.actions,
        target,
        begun.selection_scores,
        settings=curriculum_settings(stage, dataset.target),
        accelerator=begun.accelerator,
        probe=probe,
        distillation=_distillation(stage, dataset, head, student),
        additions=additions(stage, begun.datasets, by_base),
        on_episode=Ticker(stage.title, stage.parameters.curriculum.episodes).episode,
        checkpoints=checkpoints_of(stage, begun.accelerator),
    )
    if result.note:
        stage.say(result.note)
    stage.write_rows(EpisodeRow, result.episodes)
    actions = curricula(result.steps)
    stage.write(
        CurriculumMetrics(
            **begun.write(result),
            **taken(stage, dataset, result, begun.batches),
            sampler=result.sampler,
            reward=stage.parameters.curriculum.reward,
            cumulative_share=cumulative_shares(actions, stage.parameters.datasets)[-1] if actions else {},
            similarity_of_consecutive=tuple(consecutive_similarities(actions)),
            distance_of_consecutive=tuple(consecutive_distances(actions)),
        )
    )


def _target(begun: QuizTraining, head: Path) -> TargetQuiz:
    quiz = begun.dataset.split("quiz")
    trained = {f"train {name}" for name in begun.dataset.split("train").row_ids}
    trained |= {f"train {quiz.row_ids[row]}" for row in rows_without(quiz, begun.exam)}
    scores = load_file(head / "quiz.safetensors")["scores"]
    return TargetQuiz(begun.dataset.spec.name, begun.passes.one_pass, scores, frozenset(trained))


def _probe(stage: Stage, begun: QuizTraining) -> Probe:
    """The fixed rows that `gain` and `alignment` are measured on: the exam, or some of selection."""
    dataset = begun.dataset
    if stage.parameters.curriculum.probe == "exam":
        return _fixed(stage, dataset.split("quiz"), begun.exam, "train")
    selection, asked = dataset.split("selection"), stage.parameters.curriculum.probe_rows
    wanted = len(selection) if asked == "all" else asked
    # Row ids are unique within a file only: dev's are told apart from train's.
    file = "dev" if dataset.selected_on == "dev" else "train"
    return _fixed(stage, selection, draw_rows(len(selection), wanted, stage.seed_of("probe")), file)


def _fixed(stage: Stage, split: TokenSplit, rows: list[int], file: str) -> Probe:
    batches = fixed_batches(split, rows, stage.parameters.evaluate.batch_size)
    return Probe(batches, frozenset(f"{file} {split.row_ids[row]}" for row in rows))


def _distillation(stage: Stage, dataset: TokenisedDataset, head: Path, student: Classifier) -> Distillation | None:
    """Eq. 1 on the target's quiz rows with the meta-teacher as teacher: the paper's '(-) Curriculum learning'.

    Its hidden term compares pooled vectors only: sequence vectors are stored for train.
    """
    given = stage.parameters
    if given.curriculum.sampler != "kd_only":
        return None
    method = MseKd(**given.mse_kd.model_dump(exclude={"mapping"}), layers=())
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    pooled = open_signals(folder, "quiz", rows=len(dataset.split("quiz")))
    width = pooled.pooled.shape[-1]
    if method.needs.pooled and student.projection is None and student.hidden_size != width:
        # The base's method compared no vectors, so that its student has learnt no map to the teacher's width.
        student.add_projection(width, stage.seed_of("projection"))
    logits = load_file(head / "quiz.safetensors")["logits"]

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        said = pooled.of_rows(batch.rows)
        said.logits = logits[batch.rows.cpu()].to(batch.labels.device)
        return method.loss(LossInputs(outputs, said, batch.labels, dataset.spec.kind, student.projection))

    return Distillation(loss)


def _by_base(stage: Stage, dataset: TokenisedDataset, student: Classifier) -> Distillation | None:
    """The base's own loss on the target's train rows, with the teacher that taught it; None: the task loss."""
    given, base = stage.parameters, stage.parameters.mpdistil.base
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    method = make_method(given, base, student_layers=student.num_layers, teacher_layers=depth_of(teacher))
    if isinstance(method, Scheduled):
        raise UserError(
            f"curriculum.target_steps: the loss of mpdistil.base {base} changes over its epochs, of which a curriculum has "
            "none; use kd or mse_kd as base, or target_steps: 0"
        )
    if method.needs.teacher == "none":
        return None
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    signals = open_signals(folder, "train", rows=len(dataset.split("train")))

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        said = signals.of_rows(batch.rows, method.needs.teacher_layers)
        return method.loss(LossInputs(outputs, said, batch.labels, dataset.spec.kind, student.projection))

    return Distillation(loss, method.needs.student_layers)


if __name__ == "__main__":
    run_stage("curriculum", curriculum)
