"""Quizzes of all datasets, for the stages that train on them: heads, batches, settings, effort."""

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
from training.curriculum.types import CREDITS, Credit, CurriculumResult, CurriculumSettings
from training.quiz_batches import QuizBatches
from training.supervised import Target


def add_heads(student: Classifier, datasets: dict[str, TokenisedDataset], seed: int) -> None:
    """Add a head for every dataset without one. Raises UserError if it was tokenised differently."""
    for name, dataset in datasets.items():
        if dataset.tokenizer_fingerprint != datasets[student.dataset].tokenizer_fingerprint:
            raise UserError(
                f"{name} and {student.dataset} were tokenised differently; run the split stage of both again"
            )
        dataset.check(student)
        if name not in student.heads:
            student.add_head(name, dataset.spec.num_outputs, seed)


def quiz_batches(stage: Stage, dataset: TokenisedDataset, exam: list[int]) -> QuizBatches:
    """Return a dataset as an action, without the rows of the exam."""
    quiz = dataset.split("quiz")
    rows = rows_without(quiz, exam)
    seed = stage.seed_of(f"batches of {dataset.spec.name}")
    return QuizBatches(quiz, stage.parameters.curriculum.batch_size, seed=seed, rows=rows)


def exam_rows(stage: Stage, dataset: TokenisedDataset) -> list[int]:
    """Quiz rows of the target held out of training (`curriculum.probe: exam`); [] otherwise."""
    given, quiz = stage.parameters.curriculum, dataset.split("quiz")
    if given.probe != "exam":
        return []
    return draw_rows(len(quiz), min(given.probe_rows, len(quiz) // 2), stage.seed_of("exam"))


def rows_without(split: TokenSplit, exam: list[int]) -> list[int]:
    """Row numbers of a split, in order, without those of the exam."""
    kept = set(exam)
    return [row for row in range(len(split)) if row not in kept]


def curriculum_settings(stage: Stage, target: Target) -> CurriculumSettings:
    """Settings of the training code from the stage's section; null keys follow from the reward."""
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
    """Rows and updates of the student's training, over all episodes.

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
    kept = sum(1 for episode in moves if int(str(episode)) <= result.best_episode)
    before = sum(row_counts(dataset, base).values())
    return {
        "updates": Updates(student=len(moves), student_kept=kept, teacher=0),
        "train_rows": before if "quiz" in base else before + own,
        "other_rows": sum(rows.values()),
        "feedback_rows": len(dataset.split("quiz")) - own if taught_by_quiz else 0,
    }
