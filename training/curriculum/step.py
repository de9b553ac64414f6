"""One episode of the curriculum, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch
from errors import UserError
from methods.returns import Baseline, discounted_returns, make_baseline
from training.curriculum.agreement import disagreement
from training.curriculum.learner import CurriculumLearner
from training.curriculum.rewards import Levels, ProbeReader, StepReward, check_probe, make_reward
from training.curriculum.samplers import Sampler, make_sampler
from training.curriculum.types import (
    Credit,
    CurriculumSettings,
    CurriculumStudent,
    Distillation,
    Probe,
    QuizDataset,
    Row,
    SamplerName,
    TargetQuiz,
    credit_for,
)
from training.resume_files import State
from training.supervised import check_finite


@dataclass(frozen=True)
class CurriculumEpisode:
    """Parts of the curriculum that live from the first episode to the last."""

    learner: CurriculumLearner
    sampler: Sampler
    levels: Levels
    reward: StepReward
    baseline: Baseline
    credit: Credit
    probe: ProbeReader | None
    datasets: Sequence[QuizDataset]
    target: TargetQuiz
    settings: CurriculumSettings

    def begin(self, number: int) -> Sequence[Batch]:
        """The target's quiz batches of an episode: a step for each."""
        quiz = self.target.one_pass(number)[: self.settings.max_steps_per_episode]
        if not quiz:
            raise UserError(f"{self.target.name}: its quiz split has no rows, so an episode has no steps")
        return quiz

    def learn(self, rows: Sequence[Row]) -> None:
        """Let the policy learn from an episode's rows, to which returns and advantages are added."""
        if self.settings.update == "episode":
            self._move()
        returns = discounted_returns([float(row["reward"] or 0.0) for row in rows], self.credit.gamma)
        advantages = self.baseline.advantages(returns)
        self.sampler.learn(advantages)
        for row, value, advantage in zip(rows, returns, advantages, strict=True):
            row["return"], row["advantage"] = value, advantage

    def state_dict(self) -> State:
        """Of everything here that changes."""
        return {
            "learner": self.learner.state_dict(),
            "sampler": self.sampler.state_dict(),
            "reward": self.reward.state_dict(),
            "baseline": dict(vars(self.baseline)),
            "batches": [dataset.batches.state_dict() for dataset in self.datasets],
        }

    def load_state_dict(self, state: State) -> None:
        """The reverse of `state_dict`."""
        parts = cast(dict[str, State], state)
        self.learner.load_state_dict(parts["learner"])
        self.sampler.load_state_dict(parts["sampler"])
        self.reward.load_state_dict(parts["reward"])
        vars(self.baseline).update(parts["baseline"])
        for dataset, batches in zip(self.datasets, cast(list[State], state["batches"]), strict=True):
            dataset.batches.load_state_dict(batches)
        if self.probe is not None:
            self.probe.student_moved()

    def step(self, number: int, step: int, quiz: Sequence[Batch]) -> Row:
        """Choose, train, and only then take the rewards, so that they are this action's."""
        each = self.settings.update == "step"
        choice = self.sampler.sample()
        dataset = self.datasets[choice.action]
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / len(quiz))
        self.reward.after_backward()
        if each:
            self._move()
        levels = self.levels.of(quiz[step])
        reward = self.learner.mean(self.reward.after_step(levels))
        both = {f"reward_{name}": self.learner.mean(level) for name, level in levels.items()}
        for value in (reward, *both.values()):
            check_finite(value, f"curriculum, episode {number}, step {step + 1}: the reward", "lower a learning rate")
        named = zip(self.datasets, choice.probabilities, strict=True)
        return {
            "episode": number,
            "step": step,
            "action": dataset.name,
            "log_probability": choice.log_probability,
            **{f"probability_{each.name}": probability for each, probability in named},
            "loss": loss,
            "reward": reward,
            **both,
        }

    def _move(self) -> None:
        self.learner.move()
        if self.probe is not None:
            self.probe.student_moved()


def prepare(
    student: CurriculumStudent,
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    name: SamplerName,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    probe: Probe | None,
    distillation: Distillation | None,
) -> CurriculumEpisode:
    """Everything that an episode needs. Raises UserError where the policy's state needs a probe and there is none."""
    names = [dataset.name for dataset in datasets]
    own = names.index(target.name)
    kind, device = datasets[own].kind, accelerator.device
    distillations = {} if distillation is None else {target.name: distillation}
    learner = CurriculumLearner(student, settings, accelerator, distillations)
    reader = None if probe is None else ProbeReader(probe, student, target.name, kind, device)
    credit = settings.credit or credit_for(settings.reward)

    def state() -> Tensor:
        weight = student.state_weight()
        if weight is not None:
            return weight
        if reader is None:
            raise UserError("a student without a square layer before its head needs a probe for the policy's state")
        return reader.mean_pooled()

    sampler = make_sampler(
        name,
        actions=len(names),
        target=own,
        state=state,
        policy_lr=credit.policy_lr,
        seed=settings.seed,
        device=device,
    )
    levels = Levels(student, target, kind, device)
    reward = make_reward(settings.reward, student, target.name, reader)
    baseline = make_baseline(credit.baseline)
    return CurriculumEpisode(learner, sampler, levels, reward, baseline, credit, reader, datasets, target, settings)


def check(
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    settings: CurriculumSettings,
    probe: Probe | None,
    distillation: Distillation | None,
) -> None:
    """Raises UserError for settings that contradict each other, or a probe of rows that the student trains on."""
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names) or target.name not in names:
        raise UserError(f"the target {target.name!r} must be one of the datasets, each named once: {names}")
    if settings.update not in ("step", "episode"):
        raise UserError(f"curriculum.update {settings.update!r}: allowed are step and episode")
    if reason := disagreement(settings.update, settings.reward):
        raise UserError(reason)
    if settings.sampler == "kd_only" and distillation is None:
        raise UserError("sampler kd_only trains on the distillation loss alone: pass a distillation")
    if probe is not None:
        check_probe(probe, target)
