"""Records of code, source and split."""

from typing import ClassVar, Literal

from records.base import Record, RecordPart

SelectedOn = Literal["selection", "dev"]
"""'dev' under the papers' protocol; every number is then labelled."""


class CodeMetrics(Record):
    """metrics.json of code."""

    stages: int
    modules: int


class SourceMetrics(Record):
    """metrics.json of source."""

    rows: dict[str, int]
    """File -> rows."""


class UnknownTokens(RecordPart):
    """Unknown tokens and all text tokens (no padding, [CLS] and the like)."""

    count: int
    of: int


class SplitMetrics(Record):
    """metrics.json of split; the counts are those of the manifest."""

    rows: dict[str, int]
    """Split -> rows."""
    dropped_equal_to_dev: int
    dropped_with_another_label: int
    dev_rows_in_train: int
    duplicate_inputs: int
    inputs_with_two_labels: int
    unknown_tokens: dict[str, UnknownTokens]
    points_per_row: dict[str, float]
    """Dev set -> points of accuracy per row; {} for a regression."""
    warnings: tuple[str, ...]


class SplitSummary(RecordPart):
    """One split."""

    rows: int
    classes: dict[str, int]
    repaired_marks: int
    sha256: str


class SplitManifest(Record):
    """tokens/manifest.json of split: the sizes of the splits, and dropped and repeated rows."""

    FILE: ClassVar[str] = "manifest.json"
    dataset: str
    benchmark: str
    seed: int
    selected_on: SelectedOn
    dev_held_out: bool
    """True if dev was held out of train because the dataset has none of its own."""
    dev_seed: int | None
    dropped_equal_to_dev: int
    """Train rows dropped because they equal a dev row."""
    dropped_with_another_label: int
    dev_rows_in_train: int
    duplicate_inputs: int
    inputs_with_two_labels: int
    units: int
    largest_unit: int
    splits: dict[str, SplitSummary]
    max_length: int
    """Maximum tokens of an input."""
    truncated: dict[str, int]
    unknown_tokens: dict[str, float]
    """Split -> share of unknown tokens."""
    vocabulary: int
    """The tokenizer's highest id plus one."""
    tokenizer_fingerprint: str
