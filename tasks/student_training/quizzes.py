"""A student that trains on rows of all datasets: heads, batches, settings, cost, records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from accelerate import Accelerator

from data.batches import draw_rows
from data.tokens import TokenSplit
from errors import UserError
from models.classifier import Classifier
from outputs import OUTPUTS, student_model
from records.base import Scores
from records.prepared import SelectedOn
from records.trained import EpisodeRow, StepRow, StudentWork, Updates
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import as_it_is_used, compile_if_asked, start_torch
from tasks.student_training.initial_models import parameter_count
from tasks.student_training.model_folder import write_model
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
from training.supervised import Target, score


@dataclass(frozen=True)
class QuizTraining:
    """A student, and the quizzes that it is to train on."""

    stage: Stage
    accelerator: Accelerator
    student: Classifier
    dataset: TokenisedDataset
    """The student's own."""
    datasets: Mapping[str, TokenisedDataset]
    exam: list[int]
    """Its quiz rows that are kept out of training."""
    batches: Mapping[str, QuizBatches]

    @property
    def actions(self) -> list[QuizDataset]:
        """Every dataset with its batches."""
        return [QuizDataset(name, self.datasets[name].spec.kind, own) for name, own in self.batches.items()]

    @property
    def passes(self) -> QuizBatches:
        """The target's quiz in another order than the action's own: a reward is taken on other rows than the step was."""
        quiz, rows = self.dataset.split("quiz"), rows_without(self.dataset.split("quiz"), self.exam)
        seed = self.stage.seed_of("batches of the reward")
        return QuizBatches(quiz, self.stage.parameters.curriculum.batch_size, seed=seed, rows=rows)

    def selection_scores(self) -> dict[str, float]:
        """Scores of the student as it is."""
        return score(
            self.student,
            self.dataset.split("selection"),
            self.dataset.target,
            batch_size=self.stage.parameters.evaluate.batch_size,
            device=self.accelerator.device,
        )

    def write(self, result: CurriculumResult) -> QuizMetrics:
        """model and steps; sets the headline. The fields of metrics.json that follow from the result."""
        as_it_is_used(self.student)
        write_model(self.stage, self.student, self.dataset)
        self.stage.write_rows(StepRow, result.steps)
        scores = EpisodeRow.model_validate(result.episodes[result.best_episode]).selection
        self.stage.headline = f"{self.dataset.headline(scores)}, episode {result.best_episode}"
        return {
            "selection": scores,
            "selected_on": self.dataset.selected_on,
            "selected_by": self.stage.parameters.selected_by,
            "parameters": parameter_count(self.student, self.stage.dataset),
            "best_episode": result.best_episode,
        }


class QuizMetrics(TypedDict):
    """Fields of metrics.json that all such stages have."""

    selection: Scores
    selected_on: SelectedOn
    selected_by: str
    parameters: int
    best_episode: int


def prepare_quizzes(stage: Stage, base: str) -> QuizTraining:
    """Load the student of the method `base`, with a head for every dataset, and open all quizzes."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset, record=False)
    accelerator = start_torch(stage)
    stage.read(OUTPUTS / "split")
    folder = stage.read(student_model(stage.dataset, base, stage.seed))
    student = dataset.load(folder, attention=given.models.attention)
    datasets = {name: open_dataset(stage, name, record=False) for name in given.datasets}
    add_heads(student, datasets, stage.seed_of("heads"))
    student.to(accelerator.device)
    compile_if_asked(stage, student)
    exam = exam_rows(stage, dataset)
    return QuizTraining(stage, accelerator, student, dataset, datasets, exam, actions_of(stage, datasets, exam))


def add_heads(student: Classifier, datasets: dict[str, TokenisedDataset], seed: int) -> None:
    """A new head for every dataset that the student has none for; it must read the same tokens."""
    own = datasets[student.dataset].manifest.tokenizer_fingerprint
    for name, dataset in datasets.items():
        if dataset.manifest.tokenizer_fingerprint != own:
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
    """Quiz rows of the target held out of training (`curriculum.probe: exam`); [] otherwise."""
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
