"""Settings of training come from params.yaml: every setting of the training code is a key, and every key arrives."""

from dataclasses import fields
from typing import get_args

from source_imports import ROOT

from config.mpdistil import Curriculum, MetaTeacher
from config.parameters import Student, Teacher, load
from epoch_choice import SelectionRule
from methods.curriculum_rewards import Reward
from methods.returns import BaselineName
from tasks.curriculum import curriculum_settings
from tasks.meta_teacher import meta_teacher_settings
from tasks.runtime.stage import Stage
from tasks.student_training.co_training import joint_settings
from tasks.student_training.training_settings import training_settings
from training.curriculum.types import CREDITS, Credit, CurriculumSettings
from training.meta_teacher import MetaTeacherSettings
from training.supervised import Target, TrainingSettings

GIVEN = load(ROOT / "params.yaml")
# Names that differ; what stands elsewhere, or is no value of a person's choice.
ELSEWHERE = {"seed", "eval_batch_size", "label_range", "credit", "selected_by", "choice"}
TARGET = Target("worth", "regression", ("mse", "pearson"))
RENAMED = {"max_grad_norm": "clip_norm", "student_lr": "student_learning_rate", "policy_lr": "policy_learning_rate"}
META = {"loss": "competitive", "learning_rate": 0.5, "epochs": 7, "batch_size": 3, "dropout": 0.25, "patience": 5, "clip_norm": 0.75, "weight_decay": 0.125}  # fmt: skip
CURRICULUM = {"episodes": 7, "max_steps_per_episode": None, "patience": 3, "gain_steps": 1, "update": "episode", "sampler": "target", "reward": "real", "student_learning_rate": 0.5, "weight_decay": 0.125, "clip_norm": 0.75, "gamma": 0.25, "baseline": "normalised", "policy_learning_rate": 0.375}  # fmt: skip
OF_THE_STAGE = {"batch_size": 8, "probe": "selection", "probe_rows": 64, "actions_rows": "quiz", "heads": "fresh", "head_steps": 100, "head_learning_rate": 0.25, "target_steps": 0}  # fmt: skip
"""Batches, heads and probe, which the stage makes itself."""


Settings = type[TrainingSettings] | type[MetaTeacherSettings] | type[CurriculumSettings] | type[Credit]


def names(settings: Settings) -> set[str]:
    return {RENAMED.get(one.name, one.name) for one in fields(settings)} - ELSEWHERE


def stage(name: str, **changes: Teacher | Curriculum | MetaTeacher) -> Stage:
    return Stage(name, GIVEN.model_copy(update=changes), dataset="worth", seed=1)


def test_every_setting_of_a_training_is_a_key_of_its_section() -> None:
    assert names(MetaTeacherSettings) == set(MetaTeacher.model_fields)
    assert names(CurriculumSettings) | names(Credit) == set(Curriculum.model_fields) - set(OF_THE_STAGE)
    for section in (Teacher, Student):
        assert names(TrainingSettings) <= set(section.model_fields)


def test_every_key_of_meta_teacher_arrives() -> None:
    made = meta_teacher_settings(stage("meta_teacher", meta_teacher=MetaTeacher.model_validate(META)), label_range=None)
    assert {name: getattr(made, own) for own, name in _pairs(MetaTeacherSettings)} == META


def test_every_key_of_curriculum_arrives() -> None:
    given = Curriculum.model_validate(CURRICULUM | OF_THE_STAGE)
    made = curriculum_settings(stage("curriculum", curriculum=given), TARGET)
    arrived = {name: getattr(made, own) for own, name in _pairs(CurriculumSettings)}
    arrived |= {name: getattr(made.credit, own) for own, name in _pairs(Credit)}
    assert arrived == CURRICULUM


def test_the_patience_of_teacher_and_student_arrives() -> None:
    teacher, student = (
        section.model_copy(update={"patience": 2 + number})
        for number, section in enumerate((GIVEN.teacher, GIVEN.student))
    )
    given = GIVEN.model_copy(update={"teacher": teacher, "student": student})
    assert training_settings(given, given.teacher, 1).patience == 2
    assert training_settings(given, given.student, 1).patience == 3
    assert joint_settings(given, "dml", 1).student.patience == 3


def test_the_key_that_chooses_epochs_and_episodes_arrives() -> None:
    given = GIVEN.model_copy(update={"selected_by": "metric_then_loss"})
    assert training_settings(given, given.teacher, 1).selected_by == "metric_then_loss"
    assert joint_settings(given, "dml", 1).student.selected_by == "metric_then_loss"
    made = curriculum_settings(Stage("curriculum", given, dataset="worth", seed=1), TARGET)
    assert made.choice == SelectionRule("metric_then_loss", "mse")


def test_every_baseline_may_be_asked_for() -> None:
    assert _choices("baseline") == set(get_args(BaselineName))
    for reward in get_args(Reward):  # each has its own credit
        assert CREDITS[reward].baseline in _choices("baseline")


def _pairs(settings: Settings) -> list[tuple[str, str]]:
    """A setting's own name and its key's."""
    named = ((one.name, RENAMED.get(one.name, one.name)) for one in fields(settings))
    return [(own, name) for own, name in named if name not in ELSEWHERE]


def _choices(name: str) -> set[str]:
    """The values that a key of `curriculum` allows, without null."""
    (allowed,) = (one for one in get_args(Curriculum.model_fields[name].annotation) if one is not type(None))
    return set(get_args(allowed))
