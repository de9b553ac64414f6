"""One episode of the curriculum, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    BatchSource,
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
from training.resume import Resumable
from training.resume_files import State
from training.supervised import check_finite


@dataclass(frozen=True)
class Episode(Resumable):
    """Parts shared by all episodes, and a step without learning to choose.

    `one_pass(episode)` gives the target's quiz batches: as many as there are steps.
    """

    learner: CurriculumLearner
    sampler: Sampler
    datasets: Sequence[QuizDataset]
    one_pass: Callable[[int], Sequence[Batch]]
    settings: CurriculumSettings

    PARTS = ("learner", "sampler", "batches")

    @property
    def batches(self) -> list[BatchSource]:
        """Quiz batches by dataset."""
        return [dataset.batches for dataset in self.datasets]

    def begin(self, number: int) -> Sequence[Batch]:
        """The target's quiz batches of an episode, one per step."""
        quiz = self.one_pass(number)[: self.settings.max_steps_per_episode]
        if not quiz:
            raise UserError("a quiz split without rows, so an episode has no steps; enlarge split.quiz")
        return quiz

    def step(self, number: int, step: int, quiz: Sequence[Batch]) -> Row:
        """Train on the next batch of the dataset chosen by the sampler."""
        choice = self.sampler.sample()
        dataset = self.datasets[choice.action]
        loss = self.train_on(dataset, len(quiz))
        return {"episode": number, "step": step, "action": dataset.name, "loss": loss}

    def train_on(self, dataset: QuizDataset, steps: int) -> float:
        """Loss of a dataset's next batch, `steps` being the episode's; with `update: step`, also update the student."""
        each = self.settings.update == "step"
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / steps)
        self.after_backward()
        if each:
            self.move()
        return loss

    def after_backward(self) -> None:
        """Hook between a step's backward pass and the student's update."""

    def learn(self, rows: Sequence[Row]) -> None:
        """Update the student, with `update: episode`."""
        if self.settings.update == "episode":
            self.move()

    def move(self) -> None:
        """One optimizer step of the student."""
        self.learner.move()


@dataclass(frozen=True)
class CurriculumEpisode(Episode):
    """An episode whose sampler learns from rewards."""

    levels: Levels
    reward: StepReward
    baseline: Baseline
    credit: Credit
    probe: ProbeReader | None

    PARTS = (*Episode.PARTS, "reward")

    def learn(self, rows: Sequence[Row]) -> None:
        """Let the policy learn from an episode's rows; adds returns and advantages to them."""
        super().learn(rows)
        returns = discounted_returns([float(row["reward"] or 0.0) for row in rows], self.credit.gamma)
        advantages = self.baseline.advantages(returns)
        self.sampler.learn(advantages)
        for row, value, advantage in zip(rows, returns, advantages, strict=True):
            row["return"], row["advantage"] = value, advantage

    def state_dict(self) -> State:
        """State of everything here that changes."""
        return super().state_dict() | {"baseline": dict(vars(self.baseline))}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        vars(self.baseline).update(state["baseline"])
        if self.probe is not None:
            self.probe.student_moved()

    def step(self, number: int, step: int, quiz: Sequence[Batch]) -> Row:
        """Choose, train, then measure the rewards, so that they belong to this action."""
        choice = self.sampler.sample()
        dataset = self.datasets[choice.action]
        loss = self.train_on(dataset, len(quiz))
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

    def after_backward(self) -> None:
        self.reward.after_backward()

    def move(self) -> None:
        """One optimizer step; invalidates the cached probe outputs."""
        super().move()
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
    """Build the parts of an episode. Raises UserError if the policy's state needs a probe and there is none."""
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
    return CurriculumEpisode(
        learner, sampler, datasets, target.one_pass, settings, levels, reward, baseline, credit, reader
    )


def check(
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    settings: CurriculumSettings,
    probe: Probe | None,
    distillation: Distillation | None,
) -> None:
    """Raise UserError for contradictory settings, or a probe of rows that the student trains on."""
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
