"""MPDistil's rows and steps without its curriculum: the baseline of its stage 4.

An episode has as many steps as one of the curriculum's. Each step trains on a quiz batch of a dataset drawn evenly, through
that dataset's own head. There is no policy, no reward and no meta-teacher; what is left is multi-task training. The draws
are those of the curriculum's sampler `uniform`, of the same seed.
"""

from collections.abc import Callable, Mapping, Sequence

from accelerate import Accelerator

from data.batches import Batch
from seeds import torch_generator
from training.curriculum.episodes import run_episodes
from training.curriculum.learner import CurriculumLearner
from training.curriculum.samplers import UniformSampler
from training.curriculum.step import Episode
from training.curriculum.types import (
    NOTHING,
    Additions,
    CurriculumResult,
    CurriculumSettings,
    CurriculumStudent,
    Distillation,
    OnEpisode,
    QuizDataset,
    SelectionScores,
)
from training.resume import Checkpoints


def train_multi_task(
    student: CurriculumStudent,
    datasets: Sequence[QuizDataset],
    one_pass: Callable[[int], Sequence[Batch]],
    selection_scores: SelectionScores,
    *,
    settings: CurriculumSettings,
    accelerator: Accelerator,
    distillations: Mapping[str, Distillation] | None = None,
    additions: Additions = NOTHING,
    on_episode: OnEpisode | None = None,
    checkpoints: Checkpoints | None = None,
) -> CurriculumResult:
    """Train the student in place; it ends with the weights of the best episode, the initial student included.

    Args:
        one_pass: the target's quiz batches of an episode; it has as many steps as there are batches.
        settings: the curriculum's; sampler, reward and credit are not read.
        distillations: losses in place of the task loss, by dataset.
        additions: as in `run_curriculum`.

    Raises:
        UserError: the target's quiz has no rows.
        Diverged: the loss became NaN or infinite.
    """
    learner = CurriculumLearner(student, settings, accelerator, distillations or {})
    sampler = UniformSampler(len(datasets), torch_generator(settings.seed, "actions"))
    episode = Episode(learner, sampler, datasets, one_pass, settings, additions)
    run = run_episodes(episode, settings.episodes, selection_scores, on_episode, checkpoints, settings.choice)
    return CurriculumResult(run.best, "uniform", None, run.steps, run.episodes)
