"""Records of evaluate.

A field with a default came in a later release than its record: the registry holds the evidence of versions that were
registered before.
"""

from records.base import Both, Record, RecordPart, Scores
from records.prepared import SelectedOn

PREDICTIONS = "predictions.parquet"
COLUMNS = ("set", "row_id", "label", "student_logits", "teacher_logits", "student_loss", "teacher_loss")
"""Columns of PREDICTIONS: one row per row of selection and the dev sets; logits are lists of C numbers."""


class Percentiles(RecordPart):
    """Percentiles of times in milliseconds."""

    p50: float
    p95: float


class Latency(Both[Percentiles]):
    """CPU latency of a forward pass."""

    batch: int
    length: int
    threads: int
    repeats: int

    @property
    def medians(self) -> Both[float]:
        return Both(student=self.student.p50, teacher=self.teacher.p50)

    @property
    def slow(self) -> Both[float]:
        """95th percentiles."""
        return Both(student=self.student.p95, teacher=self.teacher.p95)

    @property
    def setting(self) -> dict[str, int]:
        """The conditions of the measurement."""
        return {"batch": self.batch, "length": self.length, "threads": self.threads, "repeats": self.repeats}


class Throughput(Both[float]):
    """Throughput in rows per second."""

    batch: int
    length: int
    threads: int


class Bytes(RecordPart):
    """Memory of a forward pass."""

    weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.activations


class Memory(Both[Bytes]):
    """Memory of a pass at the throughput's batch."""

    batch: int
    length: int

    @property
    def totals(self) -> Both[int]:
        return Both(student=self.student.total, teacher=self.teacher.total)


class EvaluateMetrics(Record):
    """metrics.json of evaluate: one student beside its teacher."""

    selection: Scores
    teacher_selection: Scores
    dev: Scores
    teacher_dev: Scores
    dev_mismatched: Scores | None = None
    """MNLI's second dev set."""
    teacher_dev_mismatched: Scores | None = None
    rows: dict[str, int]
    """Set -> rows."""
    truncated: dict[str, int] | None = None
    """Set -> number of truncated rows."""
    selected_on: SelectedOn
    constant: float | None = None
    """Constant baseline: train's most frequent class, or its mean."""
    majority_dev: float | None
    """Accuracy of the constant on dev; None for a regression."""
    parameters: Both[int]
    size_bytes: Both[int]
    latency_ms: Latency
    throughput: Throughput | None = None
    memory_bytes: Memory | None = None

    @property
    def scores(self) -> dict[str, Scores]:
        """Set of rows, or teacher_ and that set -> scores."""
        return {f"{who}{name}": getattr(self, f"{who}{name}") for name in self.rows for who in ("", "teacher_")}
