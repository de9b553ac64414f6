"""Records of a dataset (`DatasetSpec`) and of one checked row of it (`Row`): plain values, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from data.rendering import Render, TextPair, columns_of, render
from kinds import KINDS, Kind

UNLABELLED = -1
"""The label of a row without one; legal in `test` only."""


@dataclass(frozen=True)
class HubSource:
    """The location of a dataset on the Hub, at a pinned revision; `path` may be a local folder in the Hub's layout."""

    path: str
    config: str | None
    revision: str | None
    splits: dict[str, str]
    """Our split name -> the Hub's."""


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset, as its description says; the same for every stage and for a registered student."""

    name: str
    benchmark: str
    kind: Kind
    label_column: str
    label_names: tuple[str, ...]
    """Index = integer label; () for regression; the candidates' columns for a choice."""
    label_range: tuple[float, float] | None
    """Lowest and highest legal label of a regression, both included."""
    metrics: tuple[str, ...]
    """The first is the primary metric."""
    render: Render
    true_label: str | None = None
    """The class that a boolean true means, where none is called so."""
    id_column: str | None = None
    group_column: str | None = None
    dev_sets: tuple[str, ...] = ("dev",)
    files: dict[str, str] = field(default_factory=dict)
    """Split -> file name within the dataset's folder; empty where the default names are looked for."""
    hub: HubSource | None = None
    generate: dict[str, object] | None = None
    """Parameters of the embedded generator."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns needed for the input, in order."""
        return columns_of(self.render)

    @property
    def choices(self) -> int:
        """Encoded candidates per row: 1 unless the dataset is a choice."""
        return len(self.render["choices"]) or 1

    @property
    def num_outputs(self) -> int:
        """Units of the head: 1 for a choice (scored candidate by candidate) and for a regression."""
        return KINDS[self.kind].outputs(self.label_names)

    @property
    def num_classes(self) -> int:
        """Columns C of the logits (B, C)."""
        return KINDS[self.kind].columns(self.label_names)

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> DatasetSpec:
        """The inverse of `to_json`, also after a round trip through a JSON file."""
        values = dict(stored)
        for name in ("label_names", "metrics", "dev_sets"):
            values[name] = tuple(cast(list[str], values[name]))
        if values["label_range"] is not None:
            low, high = cast(list[float], values["label_range"])
            values["label_range"] = (float(low), float(high))
        if values["hub"] is not None:
            values["hub"] = HubSource(**cast(dict, values["hub"]))
        return cls(**cast(dict, values))


@dataclass(frozen=True, slots=True)
class Row:
    """One checked row: its raw input columns, its label as the model sees it, and its group."""

    id: str
    fields: dict[str, str | int]
    label: int | float
    """Class index, position of the right candidate, or score; -1 where there is none."""
    group: str | None = None

    def texts(self, spec: DatasetSpec) -> list[TextPair]:
        """The rendered texts: one pair, or one per candidate."""
        return render(spec.render, self.fields)


@dataclass(frozen=True)
class SourceRows:
    """The checked rows of one dataset, before splitting."""

    spec: DatasetSpec
    """Names of the dev sets found, or ("dev",) if one has to be held out."""
    rows: Mapping[str, Sequence[Row]]
    """"train", the dev sets and, where there is one, "test"."""
    origin: str
    """The origin of the rows, for people."""
