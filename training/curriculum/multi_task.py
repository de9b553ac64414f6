"""MPDistil's rows and steps without its curriculum: the baseline that its stage 4 is measured against.

An episode has as many steps as one of the curriculum's. Each step trains on a quiz batch of a dataset drawn evenly, through
that dataset's own head. There is no policy, no reward and no meta-teacher; what is left is multi-task training. The draws
are those of the curriculum's sampler `uniform`, of the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from accelerate import Accelerator

from data.batches import Batch
from errors import UserError
from seeds import torch_generator
from training.curriculum.episodes import run_episodes
from training.curriculum.learner import CurriculumLearner
from training.curriculum.samplers import UniformSampler
from training.curriculum.types import (
    CurriculumResult,
    CurriculumSettings,
    CurriculumStudent,
    Distillation,
    OnEpisode,
    QuizDataset,
    Row,
    SelectionScores,
)
from training.resume import Checkpoints
from training.resume_files import State


def train_multi_task(
    student: CurriculumStudent,
    datasets: Sequence[QuizDataset],
    one_pass: Callable[[int], Sequence[Batch]],
    selection_scores: SelectionScores,
    *,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    distillations: Mapping[str, Distillation] | None = None,
    on_episode: OnEpisode | None = None,
    checkpoints: Checkpoints | None = None,
) -> CurriculumResult:
    """Train the student in place and leave in it the weights of the best episode; the student that came in is one.

    Args:
        one_pass: the target's quiz batches of an episode; it has as many steps as there are batches.
        settings: the curriculum's; sampler, reward and credit are not read.
        distillations: losses in place of the task loss, by dataset.

    Raises:
        UserError: the target's quiz has no rows.
        Diverged: the loss became NaN or infinite.
    """
    learner = CurriculumLearner(student, settings, accelerator, distillations or {})
    sampler = UniformSampler(len(datasets), torch_generator(settings.seed, "actions"))
    episode = MultiTask(learner, sampler, datasets, one_pass, settings)
    run = run_episodes(episode, settings.episodes, selection_scores, on_episode, checkpoints, settings.choice)
    return CurriculumResult(run.best, "uniform", None, run.steps, run.episodes)


@dataclass(frozen=True)
class MultiTask:
    """The settings of an episode."""

    learner: CurriculumLearner
    sampler: UniformSampler
    datasets: Sequence[QuizDataset]
    one_pass: Callable[[int], Sequence[Batch]]
    settings: CurriculumSettings

    def begin(self, number: int) -> Sequence[Batch]:
        """The target's quiz batches: as many as there are steps. Only their number counts."""
        quiz = self.one_pass(number)[: self.settings.max_steps_per_episode]
        if not quiz:
            raise UserError("a quiz split without rows, so an episode has no steps; enlarge split.quiz")
        return quiz

    def step(self, number: int, step: int, quiz: Sequence[Batch]) -> Row:
        """Train on the next batch of a dataset drawn evenly."""
        each = self.settings.update == "step"
        choice = self.sampler.sample()
        dataset = self.datasets[choice.action]
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / len(quiz))
        if each:
            self.learner.move()
        return {"episode": number, "step": step, "action": dataset.name, "loss": loss}

    def learn(self, rows: Sequence[Row]) -> None:
        """Nobody learns to choose; with `update: episode` the student moves here."""
        if self.settings.update == "episode":
            self.learner.move()

    def state_dict(self) -> State:
        """Of everything here that changes."""
        return {
            "learner": self.learner.state_dict(),
            "sampler": self.sampler.state_dict(),
            "batches": [dataset.batches.state_dict() for dataset in self.datasets],
        }

    def load_state_dict(self, state: State) -> None:
        """The reverse of `state_dict`."""
        parts = cast(dict[str, State], state)
        self.learner.load_state_dict(parts["learner"])
        self.sampler.load_state_dict(parts["sampler"])
        for dataset, batches in zip(self.datasets, cast(list[State], state["batches"]), strict=True):
            dataset.batches.load_state_dict(batches)
