"""The student's curriculum: MPDistil's stage 4 (section 3, "Student curriculum learning").

An episode is one pass over the target's quiz batches. At each step

1. the policy sees the student as it is now and picks a dataset (the action);
2. the student takes one optimizer step on a quiz batch of that dataset, through that dataset's own head;
3. the reward is taken, with the updated student in eval mode, on rows of the target; both of the paper's stand in the
   record, whatever the policy learns from.

After the episode REINFORCE improves the policy. Student and optimizer carry over to the next episode; the
student of the best episode on `selection` is kept, and the one that came in is a candidate: this stage cannot
end below where it began. Dropout draws from the global generator, which the caller seeds; actions from a
generator of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from accelerate import Accelerator

from epoch_choice import BY_LOSS, SelectionRule, of_row
from training.curriculum.samplers import effective_sampler
from training.curriculum.step import Episode, check, prepare
from training.curriculum.types import (
    NOTHING,
    Additions,
    CurriculumResult,
    CurriculumSettings,
    CurriculumStudent,
    Distillation,
    OnEpisode,
    Probe,
    QuizDataset,
    Row,
    SelectionScores,
    TargetQuiz,
)
from training.resume import Checkpoints, Resumable

REWARDS = ("reward", "reward_binary", "reward_real")


def run_curriculum(
    student: CurriculumStudent,
    datasets: Sequence[QuizDataset],
    target: TargetQuiz,
    selection_scores: SelectionScores,
    *,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    probe: Probe | None = None,
    distillation: Distillation | None = None,
    additions: Additions = NOTHING,
    on_episode: OnEpisode | None = None,
    checkpoints: Checkpoints | None = None,
) -> CurriculumResult:
    """Trains the student in place and leaves it with the weights of the best episode.

    Args:
        student: an nn.Module with a head for each of `datasets`, of which the target is one.
        selection_scores: scores the student on the target's selection rows; they choose the episode, by `settings.choice`.
        probe: rows of the target never trained on; needed by `gain`, `alignment`, and by the policy of a
        student
            without `state_weight`.
        distillation: replaces the task loss on the target's batches; needed by `kd_only`.
        additions: steps on the target's train rows after each action, and training of the other datasets' heads before the
        first episode.
        on_episode: called with each episode's row as it ends, from 0; `best` there means best so far.
        checkpoints: keep the run's state, and begin where an interrupted run of the same stood.

    Raises:
        UserError: settings that contradict each other, or a probe of rows that the student trains on.
        Diverged: the loss became NaN or infinite.
    """
    check(datasets, target, settings, probe, distillation, additions)
    sampler, note = effective_sampler(settings.sampler, len(datasets))
    episode = prepare(student, datasets, target, sampler, settings, accelerator, probe, distillation, additions)
    run = run_episodes(episode, settings.episodes, selection_scores, on_episode, checkpoints, settings.choice)
    return CurriculumResult(run.best, sampler, note, run.steps, run.episodes)


def run_episodes(
    episode: Episode,
    episodes: int,
    selection_scores: SelectionScores,
    on_episode: OnEpisode | None,
    checkpoints: Checkpoints | None,
    choice: SelectionRule = BY_LOSS,
) -> EpisodesRun:
    """Run all episodes; the student ends with the weights of the best one, the initial student included."""
    run = EpisodesRun(episode, choice)
    with (checkpoints or Checkpoints()).watching(run) as after_step:
        while run.number <= episodes and not run.has_waited(episode.settings.patience):
            run.run_episode(after_step)
            episode.learner.rest()
            row = run.end_episode(selection_scores())
            if on_episode is not None:
                on_episode(row)
    episode.learner.restore(run.best_weights)
    episode.learner.rest()
    return run


class EpisodesRun(Resumable):
    """Mutable state of all episodes: the content of a checkpoint."""

    PARTS = ("_episode",)
    VALUES = ("number", "_rows", "_learnt", "steps", "episodes", "best", "best_weights")

    def __init__(self, episode: Episode, choice: SelectionRule) -> None:
        self._episode, self._choice = episode, choice
        self.number = 0
        """Number of the running episode; 0, the initial student, has no steps."""
        self._rows, self._learnt = list[Row](), False
        self.steps, self.episodes = list[Row](), list[Row]()
        self.best, self.best_weights = 0, episode.learner.weights()

    def run_episode(self, after_step: Callable[[], None]) -> None:
        """The steps of this episode that were not taken yet, and what the policy learns from all of them."""
        if self.number == 0:
            self._episode.start()
        if self.number == 0 or self._learnt:
            return
        quiz = self._episode.begin(self.number)
        while len(self._rows) < len(quiz):
            self._rows.append(self._episode.step(self.number, quiz, self._rows))
            after_step()
        self._episode.learn(self._rows)
        self._learnt = True

    def has_waited(self, patience: int | None) -> bool:
        """Return whether the last `patience` episodes brought no better one; None: never."""
        return patience is not None and len(self.episodes) > self.best + patience

    def end_episode(self, scores: Mapping[str, float]) -> Row:
        """Keep the student if it is the best so far; return the episode's row."""
        better = not self.episodes or self._choice.is_better(scores, of_row(self.episodes[self.best]))
        if better and self.episodes:
            self.episodes[self.best]["best"] = 0
        if better:
            self.best, self.best_weights = self.number, self._episode.learner.weights()
        self.steps += self._rows
        self.episodes.append(_episode_row(self.number, self._rows, scores, self._episode.datasets, best=better))
        self.number, self._rows, self._learnt = self.number + 1, [], False
        return dict(self.episodes[-1])


def _episode_row(
    number: int,
    rows: Sequence[Row],
    scores: Mapping[str, float],
    datasets: Sequence[QuizDataset],
    *,
    best: bool,
) -> Row:
    """A flat row for JSON: mean rewards and loss, share of each action, selection scores."""
    actions = [row["action"] for row in rows]
    shares = {f"share_{d.name}": actions.count(d.name) / len(actions) if actions else None for d in datasets}
    return {
        "episode": number,
        "steps": len(rows),
        **{name: _mean(rows, name) for name in (*REWARDS, "loss") if not rows or name in rows[0]},
        **({"target_loss": target_loss} if (target_loss := _mean(rows, "target_loss")) is not None else {}),
        **shares,
        **{f"selection_{name}": value for name, value in scores.items()},
        "best": int(best),
    }


def _mean(rows: Sequence[Row], name: str) -> float | None:
    """Of the steps that have it: not each has a reward, or was followed by training on the target."""
    values = [float(value) for row in rows if (value := row.get(name)) is not None]
    return fmean(values) if values else None
