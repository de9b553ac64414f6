"""One episode of the curriculum, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch
from errors import UserError
from methods.returns import Baseline, discounted_returns, make_baseline
from training.curriculum.agreement import disagreement
from training.curriculum.learner import CurriculumLearner
from training.curriculum.reinforce import SampledAction
from training.curriculum.rewards import Levels, ProbeReader, StepReward, check_probe, make_reward
from training.curriculum.samplers import Sampler, make_sampler
from training.curriculum.types import (
    Additions,
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
    additions: Additions

    PARTS = ("learner", "sampler", "batches")

    @property
    def batches(self) -> list[BatchSource]:
        """Of each dataset, and of the target's train rows where the student learns from them."""
        target = self.additions.target_training
        own = [] if target is None else [target.dataset.batches]
        return [dataset.batches for dataset in self.datasets] + own

    def start(self) -> None:
        """Warm the heads that are to be, before the first episode; a run that is resumed has done it."""
        if self.additions.warming is not None:
            self.learner.warm_heads(self.additions.warming)

    def begin(self, number: int) -> Sequence[Batch]:
        """The target's quiz batches of an episode, one per step."""
        quiz = self.one_pass(number)[: self.settings.max_steps_per_episode]
        if not quiz:
            raise UserError("a quiz split without rows, so an episode has no steps; enlarge split.quiz")
        return quiz

    def step(self, number: int, quiz: Sequence[Batch], rows: Sequence[Row]) -> Row:
        """Train on the next batch of a dataset that the sampler chooses; `rows` are the episode's so far."""
        dataset = self.datasets[self.choose(rows).action]
        row: Row = {
            "episode": number,
            "step": len(rows),
            "action": dataset.name,
            "loss": self.train_on(dataset, len(quiz)),
        }
        return row | (self.train_on_target() if self.is_last_of_action(len(rows), len(quiz)) else {})

    def choose(self, rows: Sequence[Row]) -> SampledAction:
        """Ask the sampler, or keep to its choice for `gain_steps` steps; the last row has it, also after a restart."""
        if len(rows) % self.settings.gain_steps == 0:
            return self.sampler.sample()
        last, names = rows[-1], [dataset.name for dataset in self.datasets]
        probabilities = tuple(float(last.get(f"probability_{name}") or 0.0) for name in names)
        return SampledAction(names.index(str(last["action"])), float(last.get("log_probability") or 0.0), probabilities)

    def is_last_of_action(self, step: int, steps: int) -> bool:
        """Return whether another action follows a step of an episode of so many, or none."""
        return (step + 1) % self.settings.gain_steps == 0 or step + 1 == steps

    def train_on(self, dataset: QuizDataset, steps: int) -> float:
        """Loss of a dataset's next batch, `steps` being the episode's; with `update: step`, also update the student."""
        each = self.settings.update == "step"
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / steps)
        self.after_backward()
        if each:
            self.move()
        return loss

    def train_on_target(self) -> Row:
        """Take the steps on the target's train rows that follow an action; their mean loss, {} where there are none."""
        target = self.additions.target_training
        if target is None:
            return {}
        losses: list[float] = []
        for _ in range(target.steps):
            losses.append(self.learner.backward_on_target(target))
            self.move()
        return {"target_loss": fmean(losses)}

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
        # Of the steps in a row on one dataset the last has the reward of the choice.
        rewards = [float(row["reward"]) for row in rows if row["reward"] is not None]
        returns = discounted_returns(rewards, self.credit.gamma)
        advantages = self.baseline.advantages(returns)
        self.sampler.learn(advantages)
        credits = iter(zip(returns, advantages, strict=True))
        for row in rows:
            row["return"], row["advantage"] = (None, None) if row["reward"] is None else next(credits)

    def state_dict(self) -> State:
        """State of everything here that changes."""
        return super().state_dict() | {"baseline": dict(vars(self.baseline))}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        vars(self.baseline).update(state["baseline"])
        if self.probe is not None:
            self.probe.student_moved()

    def step(self, number: int, quiz: Sequence[Batch], rows: Sequence[Row]) -> Row:
        """Choose, train, and only then take the rewards, so that they are this action's."""
        step, choice = len(rows), self.choose(rows)
        dataset = self.datasets[choice.action]
        loss = self.train_on(dataset, len(quiz))
        levels = self.levels.of(quiz[step])
        last = self.is_last_of_action(step, len(quiz))
        reward = self.learner.mean(self.reward.after_step(levels)) if last else None
        both = {f"reward_{name}": self.learner.mean(level) for name, level in levels.items()}
        for value in (reward, *both.values()):
            if value is not None:
                place = f"curriculum, episode {number}, step {step + 1}: the reward"
                check_finite(value, place, "lower a learning rate")
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
            **(self.train_on_target() if last else {}),
        }

    def train_on_target(self) -> Row:
        """As above; what the student gains by it is no action's."""
        row = super().train_on_target()
        if row:
            self.reward.moved_otherwise()
        return row

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
    additions: Additions,
) -> CurriculumEpisode:
    """Build the parts of an episode. Raises UserError if the policy's state needs a probe and there is none."""
    names = [dataset.name for dataset in datasets]
    own = names.index(target.name)
    kind, device = datasets[own].kind, accelerator.device
    distillations = {} if distillation is None else {target.name: distillation}
    learner = CurriculumLearner(student, settings, accelerator, distillations)
    reader = None if probe is None else ProbeReader(probe, student, target.name, kind, device)
    credit = settings.credit or credit_for(settings.reward)
    sampler = make_sampler(
        name,
        actions=len(names),
        target=own,
        state=partial(_state, student, reader),
        policy_lr=credit.policy_lr,
        seed=settings.seed,
        device=device,
    )
    levels = Levels(student, target, kind, device)
    reward = make_reward(settings.reward, student, target.name, reader)
    baseline = make_baseline(credit.baseline)
    return CurriculumEpisode(
        learner,
        sampler,
        datasets,
        target.one_pass,
        settings,
        additions,
        levels,
        reward,
        baseline,
        credit,
        reader,
    )


def _state(student: CurriculumStudent, reader: ProbeReader | None) -> Tensor:
    """Return the policy's state: the student's last square layer, else its mean pooled vector over the probe."""
    weight = student.state_weight()
    if weight is not None:
        return weight
    if reader is None:
        raise UserError("a student without a square layer before its head needs a probe for the policy's state")
    return reader.mean_pooled()


def check(
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    settings: CurriculumSettings,
    probe: Probe | None,
    distillation: Distillation | None,
    additions: Additions,
) -> None:
    """Raise UserError for contradictory settings, or a probe of rows that the student trains on."""
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names) or target.name not in names:
        raise UserError(f"the target {target.name!r} must be one of the datasets, each named once: {names}")
    if settings.update not in ("step", "episode"):
        raise UserError(f"curriculum.update {settings.update!r}: allowed are step and episode")
    after = additions.target_training
    steps = 0 if after is None else after.steps
    if reason := disagreement(settings.update, settings.reward, settings.gain_steps, steps):
        raise UserError(reason)
    if settings.sampler == "kd_only" and distillation is None:
        raise UserError("sampler kd_only trains on the distillation loss alone: pass a distillation")
    if probe is not None:
        check_probe(probe, target)
