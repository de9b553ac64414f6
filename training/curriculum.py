"""The student's curriculum: MPDistil's stage 4 (section 3, "Student curriculum learning").

An episode is one pass over the target's quiz batches. At each step

1. the policy sees the student as it is now and picks a dataset (the action);
2. the student takes one optimizer step on a quiz batch of that dataset, through that dataset's own head;
3. the reward is taken, with the updated student in eval mode, on rows of the target.

After the episode REINFORCE improves the policy. Student and optimizer carry over to the next episode; the
student of the best episode on `selection` is kept, and the one that came in is a candidate: this stage cannot
end below where it began. Dropout draws from the global generator, which the caller seeds; actions from a
generator of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import cast

from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch
from methods.returns import Baseline, discounted_returns, make_baseline
from training.checkpoint_files import State
from training.checkpoints import Checkpoints
from training.curriculum_learner import Learner
from training.curriculum_rewards import ProbeReader, StepReward, check_probe, make_reward
from training.curriculum_samplers import Chooser, effective_sampler, make_chooser
from training.curriculum_seams import (
    Credit,
    CurriculumResult,
    CurriculumSettings,
    Distillation,
    OnEpisode,
    Probe,
    QuizDataset,
    Row,
    Sampler,
    SelectionScores,
    Student,
    TargetQuiz,
    credit_for,
)
from training.loop import check_finite


def run_curriculum(
    student: Student,
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    selection_scores: SelectionScores,
    *,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    probe: Probe | None = None,
    distillation: Distillation | None = None,
    on_episode: OnEpisode | None = None,
    checkpoints: Checkpoints | None = None,
) -> CurriculumResult:
    """Trains the student in place and leaves in it the weights of the best episode.

    Args:
        student: an nn.Module with a head for each of `datasets`, of which the target is one.
        selection_scores: scores the student on the target's selection rows; "loss" chooses the episode.
        probe: rows of the target never trained on; needed by `gain`, `alignment`, and by the policy of a
        student
            without `state_weight`.
        distillation: replaces the task loss on the target's batches; needed by `kd_only`.
        on_episode: called with each episode's row as it ends, from 0; `best` there means best so far.
        checkpoints: keep the run's state, and begin where an interrupted run of the same stood.

    Raises:
        ValueError: settings that contradict each other, or a probe of rows that the student trains on.
        Diverged: the loss became NaN or infinite.
    """
    _check(datasets, target, settings, probe, distillation)
    sampler, note = effective_sampler(settings.sampler, len(datasets))
    play = _prepare(student, datasets, target, sampler, settings, accelerator, probe, distillation)
    run = _Run(play)
    with (checkpoints or Checkpoints()).watching(run) as after_step:
        while run.number <= settings.episodes:
            run.play_episode(after_step)
            play.learner.rest()
            row = run.end_episode(selection_scores())
            if on_episode is not None:
                on_episode(row)
    play.learner.restore(run.best_weights)
    play.learner.rest()
    return CurriculumResult(run.best, sampler, note, run.steps, run.episodes)


class _Run:
    """All that changes from the first episode to the last: what a checkpoint holds."""

    def __init__(self, play: _Play) -> None:
        self._play = play
        self.number = 0
        """Of the episode being played; 0 has no steps: the student that came in."""
        self._rows, self._learnt = list[Row](), False
        self.steps, self.episodes = list[Row](), list[Row]()
        self.best, self.best_weights = 0, play.learner.weights()

    def play_episode(self, after_step: Callable[[], None]) -> None:
        """The steps of this episode that were not taken yet, and what the policy learns from all of them."""
        if self.number == 0 or self._learnt:
            return
        quiz = self._play.begin(self.number)
        for step in range(len(self._rows), len(quiz)):
            self._rows.append(self._play.step(self.number, step, len(quiz)))
            after_step()
        self._play.learn(self._rows)
        self._learnt = True

    def end_episode(self, scores: Mapping[str, float]) -> Row:
        """Keep the student if it is the best so far; the episode's row."""
        least = float(self.episodes[self.best]["selection_loss"] or 0.0) if self.episodes else math.inf
        better = not self.episodes or scores["loss"] < least
        if better and self.episodes:
            self.episodes[self.best]["best"] = 0
        if better:
            self.best, self.best_weights = self.number, self._play.learner.weights()
        self.steps += self._rows
        self.episodes.append(_episode_row(self.number, self._rows, scores, self._play.datasets, best=better))
        self.number, self._rows, self._learnt = self.number + 1, [], False
        return dict(self.episodes[-1])

    def state_dict(self) -> State:
        """See `Checkpoints`."""
        records = {"steps": self.steps, "episodes": self.episodes, "rows": self._rows, "learnt": self._learnt}
        best = {"best": self.best, "best_weights": self.best_weights, "number": self.number}
        return {**records, **best, "play": self._play.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """The reverse of `state_dict`."""
        self.steps, self.episodes, self._rows = (cast(list[Row], state[name]) for name in ("steps", "episodes", "rows"))
        self.number, self.best, self._learnt = (cast(int, state[name]) for name in ("number", "best", "learnt"))
        self.best_weights = cast(dict[str, Tensor], state["best_weights"])
        self._play.load_state_dict(cast(State, state["play"]))


@dataclass(frozen=True)
class _Play:
    """What lives from the first episode to the last."""

    learner: Learner
    chooser: Chooser
    reward: StepReward
    baseline: Baseline
    credit: Credit
    probe: ProbeReader | None
    datasets: Sequence[QuizDataset]
    target: TargetQuiz
    settings: CurriculumSettings

    def begin(self, number: int) -> Sequence[Batch]:
        """The target's quiz batches of an episode: a step for each."""
        quiz = self._quiz_of(number)
        self.reward.start_episode(quiz)
        return quiz

    def learn(self, rows: Sequence[Row]) -> None:
        """What the policy learns from an episode's rows, to which returns and advantages are added."""
        if self.settings.update == "episode":
            self._move()
        returns = discounted_returns([float(row["reward"] or 0.0) for row in rows], self.credit.gamma)
        advantages = self.baseline.advantages(returns)
        self.chooser.learn(advantages)
        for row, value, advantage in zip(rows, returns, advantages, strict=True):
            row["return"], row["advantage"] = value, advantage

    def state_dict(self) -> State:
        """Of everything here that changes."""
        return {
            "learner": self.learner.state_dict(),
            "chooser": self.chooser.state_dict(),
            "reward": self.reward.state_dict(),
            "baseline": dict(vars(self.baseline)),
            "batches": [dataset.batches.state_dict() for dataset in self.datasets],
        }

    def load_state_dict(self, state: State) -> None:
        """The reverse of `state_dict`."""
        parts = cast(dict[str, State], state)
        self.learner.load_state_dict(parts["learner"])
        self.chooser.load_state_dict(parts["chooser"])
        self.reward.load_state_dict(parts["reward"])
        vars(self.baseline).update(parts["baseline"])
        for dataset, batches in zip(self.datasets, cast(list[State], state["batches"]), strict=True):
            dataset.batches.load_state_dict(batches)
        if self.probe is not None:
            self.probe.student_moved()

    def step(self, number: int, step: int, length: int) -> Row:
        """Choose, train, and only then take the reward, so that it is this action's."""
        each = self.settings.update == "step"
        choice = self.chooser.choose()
        dataset = self.datasets[choice.action]
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / length)
        self.reward.after_backward()
        if each:
            self._move()
        reward = self.learner.mean(self.reward.after_step(step))
        check_finite(reward, f"curriculum, episode {number}, step {step + 1}: the reward", "lower a learning rate")
        named = zip(self.datasets, choice.probabilities, strict=True)
        return {
            "episode": number,
            "step": step,
            "action": dataset.name,
            "log_probability": choice.log_probability,
            **{f"probability_{each.name}": probability for each, probability in named},
            "loss": loss,
            "reward": reward,
        }

    def _move(self) -> None:
        self.learner.move()
        if self.probe is not None:
            self.probe.student_moved()

    def _quiz_of(self, number: int) -> Sequence[Batch]:
        quiz = self.target.one_pass(number)[: self.settings.max_steps_per_episode]
        if not quiz:
            raise ValueError(f"{self.target.name}: its quiz split has no rows, so an episode has no steps")
        return quiz


def _prepare(
    student: Student,
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    sampler: Sampler,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    probe: Probe | None,
    distillation: Distillation | None,
) -> _Play:
    names = [dataset.name for dataset in datasets]
    own = names.index(target.name)
    kind, device = datasets[own].kind, accelerator.device
    learner = Learner(student, target.name, settings, accelerator, distillation)
    reader = None if probe is None else ProbeReader(probe, student, target.name, kind, device)
    credit = settings.credit or credit_for(settings.reward)

    def state() -> Tensor:
        weight = student.state_weight()
        if weight is not None:
            return weight
        if reader is None:
            raise ValueError("a student without a square layer before its head needs a probe for the policy's state")
        return reader.mean_pooled()

    chooser = make_chooser(
        sampler,
        actions=len(names),
        target=own,
        state=state,
        policy_lr=credit.policy_lr,
        seed=settings.seed,
        device=device,
    )
    reward = make_reward(settings.reward, student, target, kind, reader, device)
    baseline = make_baseline(credit.baseline)
    return _Play(learner, chooser, reward, baseline, credit, reader, datasets, target, settings)


def _check(
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    settings: CurriculumSettings,
    probe: Probe | None,
    distillation: Distillation | None,
) -> None:
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names) or target.name not in names:
        raise ValueError(f"the target {target.name!r} must be one of the datasets, each named once: {names}")
    if settings.update not in ("step", "episode"):
        raise ValueError(f"curriculum.update {settings.update!r}: allowed are step and episode")
    if settings.update == "episode" and settings.reward in ("gain", "alignment"):
        raise ValueError(
            f"reward {settings.reward} is what one step adds, but with curriculum.update: episode the student does "
            "not move at a step; use update: step, or reward binary or real"
        )
    if settings.sampler == "kd_only" and distillation is None:
        raise ValueError("sampler kd_only trains on the distillation loss alone: pass a distillation")
    if probe is not None:
        check_probe(probe, target)


def _episode_row(
    number: int,
    rows: Sequence[Row],
    scores: Mapping[str, float],
    datasets: Sequence[QuizDataset],
    *,
    best: bool,
) -> Row:
    """Flat, one line of JSON: mean reward and loss, share of each action, selection scores."""
    actions = [row["action"] for row in rows]
    shares = {f"share_{d.name}": actions.count(d.name) / len(actions) if actions else None for d in datasets}
    return {
        "episode": number,
        "steps": len(rows),
        "reward": fmean(float(row["reward"] or 0.0) for row in rows) if rows else None,
        "loss": fmean(float(row["loss"] or 0.0) for row in rows) if rows else None,
        **shares,
        **{f"selection_{name}": value for name, value in scores.items()},
        "best": int(best),
    }
