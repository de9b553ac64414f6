"""Rows of all datasets, for the stages whose student trains on them: heads, batches, settings, cost."""

from collections import Counter
from collections.abc import Mapping

from data.batches import draw_rows
from data.tokens import TokenSplit
from errors import UserError
from models.classifier import Classifier
from records.trained import StudentWork, Updates
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.student_training.training_rows import TRAIN, row_counts
from training.curriculum.types import (
    CREDITS,
    Additions,
    Credit,
    CurriculumResult,
    CurriculumSettings,
    Distillation,
    HeadWarming,
    QuizDataset,
    TargetTraining,
)
from training.quiz_batches import QuizBatches
from training.supervised import Target


def add_heads(student: Classifier, datasets: dict[str, TokenisedDataset], seed: int) -> None:
    """A new head for every dataset that the student has none for; it must read the same tokens."""
    for name, dataset in datasets.items():
        if dataset.tokenizer_fingerprint != datasets[student.dataset].tokenizer_fingerprint:
            raise UserError(
                f"{name} and {student.dataset} were tokenised differently; run the split stage of both again"
            )
        dataset.check(student)
        if name not in student.heads:
            student.add_head(name, dataset.spec.num_outputs, seed)


def additions(stage: Stage, datasets: Mapping[str, TokenisedDataset], distillation: Distillation | None) -> Additions:
    """Return the training beside the actions' that the section asks for; `distillation` as in `target_training`."""
    return Additions(target_training(stage, datasets[stage.dataset], distillation), head_warming(stage, datasets))


def head_warming(stage: Stage, datasets: Mapping[str, TokenisedDataset]) -> HeadWarming | None:
    """Return the training of the other datasets' heads, on the rows that their actions are drawn from; None: they stay fresh."""
    given = stage.parameters.curriculum
    if given.heads == "fresh":
        return None

    def rows_of(name: str) -> QuizDataset:
        seed = stage.seed_of(f"batches that warm the head of {name}")
        batches = QuizBatches(datasets[name].split(given.actions_rows), given.batch_size, seed=seed)
        return QuizDataset(name, datasets[name].spec.kind, batches)

    others = [rows_of(name) for name in datasets if name != stage.dataset]
    return HeadWarming(others, given.head_steps, given.head_learning_rate)


def target_training(
    stage: Stage, dataset: TokenisedDataset, distillation: Distillation | None
) -> TargetTraining | None:
    """Return the steps on the target's train rows after each action, by the task loss without a `distillation`."""
    given = stage.parameters.curriculum
    if given.target_steps == 0:
        return None
    batches = QuizBatches(dataset.split("train"), given.batch_size, seed=stage.seed_of("batches of the target's train"))
    return TargetTraining(QuizDataset(stage.dataset, dataset.spec.kind, batches), given.target_steps, distillation)


def rows_split(stage: Stage, dataset: str) -> str:
    """The split that a dataset's actions are drawn from: of the target always the quiz, or its train rows would come twice."""
    return "quiz" if dataset == stage.dataset else stage.parameters.curriculum.actions_rows


def actions_of(stage: Stage, datasets: Mapping[str, TokenisedDataset], exam: list[int]) -> dict[str, QuizBatches]:
    """Return all datasets as actions, the target without the rows kept for the exam."""
    own = {stage.dataset: exam}
    return {name: action_batches(stage, datasets[name], own.get(name, [])) for name in stage.parameters.datasets}


def action_batches(stage: Stage, dataset: TokenisedDataset, exam: list[int]) -> QuizBatches:
    """Return a dataset as an action, without the rows kept for the exam."""
    split = dataset.split(rows_split(stage, dataset.spec.name))
    rows = rows_without(split, exam)
    seed = stage.seed_of(f"batches of {dataset.spec.name}")
    return QuizBatches(split, stage.parameters.curriculum.batch_size, seed=seed, rows=rows)


def exam_rows(stage: Stage, dataset: TokenisedDataset) -> list[int]:
    """Quiz rows of the target that are kept out of training (`curriculum.probe: exam`); [] otherwise."""
    given, quiz = stage.parameters.curriculum, dataset.split("quiz")
    if given.probe != "exam":
        return []
    assert given.probe_rows != "all"  # refused by config/mpdistil.py
    return draw_rows(len(quiz), min(given.probe_rows, len(quiz) // 2), stage.seed_of("exam"))


def rows_without(split: TokenSplit, exam: list[int]) -> list[int]:
    """Row numbers of a split, in order, without those of the exam."""
    kept = set(exam)
    return [row for row in range(len(split)) if row not in kept]


def curriculum_settings(stage: Stage, target: Target) -> CurriculumSettings:
    """The stage's section, as the training code takes it; what goes with the reward where a key is null."""
    given = stage.parameters.curriculum
    own = CREDITS[given.reward]
    credit = Credit(
        gamma=own.gamma if given.gamma is None else given.gamma,
        baseline=own.baseline if given.baseline is None else given.baseline,
        policy_lr=own.policy_lr if given.policy_learning_rate is None else given.policy_learning_rate,
    )
    return CurriculumSettings(
        episodes=given.episodes,
        max_steps_per_episode=given.max_steps_per_episode,
        update=given.update,
        sampler=given.sampler,
        reward=given.reward,
        credit=credit,
        student_lr=given.student_learning_rate,
        weight_decay=given.weight_decay,
        clip_norm=given.clip_norm,
        choice=target.choice(stage.parameters.selected_by),
        patience=given.patience,
        gain_steps=given.gain_steps,
        seed=stage.seed_of("curriculum"),
    )


def taken(
    stage: Stage,
    dataset: TokenisedDataset,
    result: CurriculumResult,
    batches: Mapping[str, QuizBatches],
    *,
    base: tuple[str, ...] = TRAIN,
    taught_by_quiz: bool = True,
) -> StudentWork:
    """Rows that the student trained on and updates that it made, from its first episode to the last.

    The updates are this stage's own: those of the base, which come before them, are in its record.

    Args:
        base: the splits on which the student had trained that came in.
        taught_by_quiz: whether a meta-teacher has learnt from the rest of the quiz.
    """
    drawn = Counter(str(row["action"]) for row in result.steps)
    rows = {name: one.rows_in(drawn[name]) for name, one in batches.items()}
    own = rows.pop(dataset.spec.name)
    moves = [row["episode"] for row in result.steps]
    if stage.parameters.curriculum.update == "episode":
        moves = list(dict.fromkeys(moves))
    # Steps on the target's train rows, whose number the base has counted already, come after some actions.
    after = stage.parameters.curriculum.target_steps
    moves += [row["episode"] for row in result.steps if "target_loss" in row for _ in range(after)]
    kept = sum(1 for episode in moves if int(str(episode)) <= result.best_episode)
    before = sum(row_counts(dataset, base).values())
    return {
        "updates": Updates(student=len(moves), student_kept=kept, teacher=0),
        "train_rows": before if "quiz" in base else before + own,
        "other_rows": sum(rows.values()),
        "feedback_rows": len(dataset.split("quiz")) - own if taught_by_quiz else 0,
    }
