"""Records of the stages that train a network or store its outputs.

A field with a default came in a later release than its record: `report` and `compare` show a gap for a student that an
earlier one trained.
"""

from functools import cached_property
from typing import ClassVar, TypedDict

from records.base import Record, RecordPart, RecordRow, Scores
from records.prepared import SelectedOn


class CurveRow(RecordRow):
    """curves.jsonl: one epoch, with the method's figures, the selection scores, and 1 in `best` if it was kept."""

    epoch: int | float


class EpisodeRow(RecordRow):
    """episodes.jsonl: one episode of a curriculum, from 0, the initial student."""

    FILE: ClassVar[str] = "episodes.jsonl"
    episode: int
    best: int
    reward: float | None = None
    """Mean over its steps; None without steps."""

    @cached_property
    def selection(self) -> Scores:
        return self.starting("selection_")

    @cached_property
    def shares(self) -> dict[str, float]:
        """Dataset -> share of the steps; {} for the initial student."""
        return self.starting("share_")


class StepRow(RecordRow):
    """steps.jsonl: one action, with its reward, both rewards of the paper and the return if there are any."""

    FILE: ClassVar[str] = "steps.jsonl"
    episode: int
    step: int
    action: str
    reward: float | None = None
    reward_binary: float | None = None
    reward_real: float | None = None


class InfluenceRow(RecordRow):
    """influence.jsonl (lgtm): one training row at one step, its influence and both probabilities of its true class."""

    FILE: ClassVar[str] = "influence.jsonl"
    step: int
    row: int
    influence: float
    student: float
    teacher: float


class Epochs(RecordPart):
    """Epochs run; fewer than requested if `patience` ended the training."""

    run: int
    asked: int


class Updates(RecordPart):
    """Optimizer steps; `student_kept`: until the kept weights."""

    student: int
    student_kept: int | None = None
    teacher: int


class AssistantUpdates(RecordPart):
    """Optimizer steps of an assistant."""

    assistant: int


class SearchRecord(RecordPart):
    """Settings that a search tried."""

    points: int
    chosen: int
    """From 1."""
    tried: tuple[dict[str, float | Scores | str | None], ...]
    """Values by their keys in params.yaml, scores on selection, and the reason if it diverged."""


class PhaseRecord(RecordPart):
    """A part of a method's schedule."""

    phase: str
    teacher_epoch: int | None
    epochs: int


class TeacherMetrics(Record):
    """metrics.json of teacher."""

    selection: Scores
    selected_on: SelectedOn
    selected_by: str
    epochs: Epochs | None = None
    """None for a supplied teacher."""
    parameters: int
    origin: str
    search: SearchRecord | None = None
    """None without a search."""
    within_noise: str | None = None
    """The sentence on a teacher within noise of the constant answer on selection; None of one that is above it."""


class SignalsMetrics(Record):
    """metrics.json of signals."""

    teacher: dict[str, Scores]
    """Split -> scores."""
    layers: tuple[int, ...]


class AssistantMetrics(Record):
    """metrics.json of assistant."""

    assistant: dict[str, Scores]
    """Split -> scores."""
    selected_on: SelectedOn
    parameters: int
    layers: int
    updates: AssistantUpdates
    cpu_s: float
    peak_memory_mb: float


class MetaTeacherMetrics(Record):
    """metrics.json of meta_teacher: its scores on selection and the dev sets."""

    selection: Scores
    dev: Scores
    dev_mismatched: Scores | None = None
    """MNLI's second dev set."""
    loss: str | None
    best_epoch: int
    parameters: int
    selected_on: SelectedOn

    @property
    def scores(self) -> dict[str, Scores]:
        """Set of rows -> scores."""
        sets = {"selection": self.selection, "dev": self.dev, "dev_mismatched": self.dev_mismatched}
        return {name: scores for name, scores in sets.items() if scores is not None}


class StudentWork(TypedDict):
    """Fields of `AnyStudentMetrics` counted alike by the stages on quizzes."""

    updates: Updates
    train_rows: int
    other_rows: int
    feedback_rows: int


class AnyStudentMetrics(Record):
    """The part of metrics.json common to all stages that train a student."""

    selection: Scores
    selected_on: SelectedOn
    selected_by: str | None = None
    parameters: int
    updates: Updates
    train_rows: int | None = None
    """Labelled rows of its own dataset that it was trained on."""
    other_rows: int | None = None
    """Labelled rows of other datasets."""
    feedback_rows: int | None = None
    """Labelled rows used by its teacher only."""


class StudentMetrics(AnyStudentMetrics):
    """metrics.json of student, assisted_student and meta_student."""

    trained_on: tuple[str, ...] = ()
    """Splits."""
    rows_seen: int | None = None
    epochs: Epochs | None = None
    schedule: tuple[PhaseRecord, ...] = ()
    """For a method whose loss changes over the epochs."""
    search: SearchRecord | None = None
    """None without a search."""
    cpu_s: float
    peak_memory_mb: float


class MultiTaskMetrics(AnyStudentMetrics):
    """metrics.json of multi_task."""

    best_episode: int


class CurriculumMetrics(AnyStudentMetrics):
    """metrics.json of curriculum."""

    best_episode: int
    sampler: str
    reward: str | None
    cumulative_share: dict[str, float]
    """Dataset -> share of all steps."""
    similarity_of_consecutive: tuple[float, ...]
    distance_of_consecutive: tuple[float, ...]
    """Of consecutive episodes."""


def student_metrics_of(stage: str) -> type[AnyStudentMetrics]:
    """The class of metrics.json of a stage that trains a student."""
    if stage == "curriculum":
        return CurriculumMetrics
    return MultiTaskMetrics if stage == "multi_task" else StudentMetrics
