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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from accelerate import Accelerator
from torch import Tensor

from data.batches import Batch
from methods.returns import Baseline, discounted_returns, make_baseline
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

    Raises:
        ValueError: settings that contradict each other, or a probe of rows that the student trains on.
        Diverged: the loss became NaN or infinite.
    """
    _check(datasets, target, settings, probe, distillation)
    sampler, note = effective_sampler(settings.sampler, len(datasets))
    play = _prepare(student, datasets, target, sampler, settings, accelerator, probe, distillation)
    learner = play.learner
    steps: list[Row] = []
    episodes: list[Row] = []
    best_episode, best_loss, best_weights = 0, 0.0, learner.weights()
    for number in range(settings.episodes + 1):
        rows = play.episode(number) if number else []
        learner.rest()
        scores = selection_scores()
        better = number == 0 or scores["loss"] < best_loss
        if better and number:
            episodes[best_episode]["best"] = 0
        if better:
            best_episode, best_loss, best_weights = number, scores["loss"], learner.weights()
        steps += rows
        episodes.append(_episode_row(number, rows, scores, datasets, best=better))
        if on_episode is not None:
            on_episode(dict(episodes[-1]))
    learner.restore(best_weights)
    learner.rest()
    return CurriculumResult(best_episode, sampler, note, steps, episodes)


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

    def episode(self, number: int) -> list[Row]:
        """One pass over the target's quiz batches, and what the policy learns from it -> a row for each step."""
        quiz = self._quiz_of(number)
        self.reward.start_episode(quiz)
        rows = [self._step(number, step, len(quiz)) for step in range(len(quiz))]
        if self.settings.update == "episode":
            self._move()
        returns = discounted_returns([float(row["reward"] or 0.0) for row in rows], self.credit.gamma)
        advantages = self.baseline.advantages(returns)
        self.chooser.learn(advantages)
        for row, value, advantage in zip(rows, returns, advantages, strict=True):
            row["return"], row["advantage"] = value, advantage
        return rows

    def _step(self, number: int, step: int, length: int) -> Row:
        """Choose, train, and only then take the reward, so that it is this action's."""
        each = self.settings.update == "step"
        choice = self.chooser.choose()
        dataset = self.datasets[choice.action]
        loss = self.learner.backward(dataset, share=1.0 if each else 1.0 / length)
        self.reward.after_backward()
        if each:
            self._move()
        reward = self.learner.mean(self.reward.after_step(step))
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
