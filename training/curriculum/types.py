"""Types of the curriculum: its student, quiz batches, probe and settings, and its result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from data.batches import Batch
from epoch_choice import SelectionRule
from errors import UserError
from kinds import Kind
from methods.curriculum_rewards import Reward
from methods.returns import BaselineName
from models.model_outputs import Outputs
from training.resume import Saved
from training.supervised import BatchLoss

SamplerName = Literal["policy", "uniform", "target", "kd_only"]
Row = dict[str, float | int | str | None]


class CurriculumStudent(Protocol):
    """The parts of `models.classifier.Classifier` that the curriculum uses."""

    heads: nn.ModuleDict

    def __call__(
        self, inputs: dict[str, Tensor], *, dataset: str, choices: int = 1, layers: Sequence[int] = ()
    ) -> Outputs: ...

    def state_weight(self) -> Tensor | None: ...

    def train(self, mode: bool = True) -> nn.Module: ...

    def eval(self) -> nn.Module: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


class BatchSource(Saved, Protocol):
    """Endless quiz batches, the same in every run."""

    def next_batch(self) -> Batch: ...


@dataclass(frozen=True)
class QuizDataset:
    """An action: a dataset whose batches, of quiz or train rows, the student may be trained on, through its own head."""

    name: str
    kind: Kind
    batches: BatchSource


@dataclass(frozen=True)
class TargetQuiz:
    """The dataset that the student is for, for its rewards.

    `one_pass(episode)` is one pass over its quiz rows: a batch for the reward of each step. `meta_scores`
    (N,) are the true-class scores p_y(T'(h_T)) of the quiz rows, by `batch.rows`. `trained_ids` names every
    row of the dataset that the student was or will be trained on.
    """

    name: str
    one_pass: Callable[[int], Sequence[Batch]]
    meta_scores: Tensor
    trained_ids: frozenset[str]


@dataclass(frozen=True)
class Probe:
    """Fixed rows of the target on which the student never trains."""

    batches: Sequence[Batch]
    row_ids: frozenset[str]


@dataclass(frozen=True)
class Distillation:
    """A loss in place of the task loss wherever the student trains on a dataset: for `kd_only` Eq. 1 with the
    meta-teacher, on the target.

    `layers` are those of the student whose vectors the loss reads.
    """

    loss: BatchLoss
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class TargetTraining:
    """Steps on the target's own train rows after each action (ours, not the paper's).

    `distillation` is the loss there; None: the task loss.
    """

    dataset: QuizDataset
    steps: int
    distillation: Distillation | None


@dataclass(frozen=True)
class HeadWarming:
    """Training of the other datasets' heads on the student as it comes in (ours, not the paper's)."""

    datasets: Sequence[QuizDataset]
    """Those whose heads are new, with batches of their own: the actions' are left alone."""
    steps: int
    """Of each head."""
    learning_rate: float


@dataclass(frozen=True)
class Additions:
    """Training beside the actions' own, none of it the paper's; None: none of that kind."""

    target_training: TargetTraining | None = None
    warming: HeadWarming | None = None


NOTHING = Additions()


@dataclass(frozen=True)
class Credit:
    """Conversion of rewards to advantages, and the policy's learning rate for their scale."""

    gamma: float
    baseline: BaselineName
    policy_lr: float


OF_LEVELS, OF_STEPS = Credit(0.99, "none", policy_lr=1e-3), Credit(0.0, "normalised", policy_lr=1e-2)
CREDITS: Mapping[Reward, Credit] = {"binary": OF_LEVELS, "real": OF_LEVELS, "gain": OF_STEPS, "alignment": OF_STEPS}
"""The paper's for its rewards; `gain` and `alignment` belong to one step and are credited to its action alone."""


def credit_for(reward: Reward) -> Credit:
    """Return the credit that goes with a reward. Raises UserError on an unknown one."""
    if reward not in CREDITS:
        raise UserError(f"reward {reward!r}: allowed are {', '.join(CREDITS)}")
    return CREDITS[reward]


@dataclass(frozen=True)
class CurriculumSettings:
    """Settings of stage 4. `credit` defaults to the reward's own; `clip_norm` bounds the student's gradient.

    `update: step` moves the student after every action (the paper's text); `episode` once, on the mean of the
    episode's losses (the authors' code, in which no reward depends on the action it is credited to).
    """

    episodes: int
    max_steps_per_episode: int | None
    update: Literal["step", "episode"]
    sampler: SamplerName
    reward: Reward
    credit: Credit | None
    student_lr: float
    weight_decay: float
    clip_norm: float | None
    choice: SelectionRule
    """The choice of the best episode on selection."""
    patience: int | None
    """Episodes without a better one after which it ends; None: all are run."""
    gain_steps: int
    """Steps in a row on a dataset once it is chosen; `gain` is taken over all of them."""
    seed: int


@dataclass(frozen=True)
class CurriculumResult:
    """Result; the student holds the weights of `best_episode` (0: the initial student).

    `sampler` is the one that really ran and `note` says why it is another than was asked for. `steps` has a
    row for every action, `episodes` one for every episode from 0, in which exactly one is `best`.
    """

    best_episode: int
    sampler: SamplerName
    note: str | None
    steps: list[Row]
    episodes: list[Row]


SelectionScores = Callable[[], Mapping[str, float]]
OnEpisode = Callable[[Row], None]
