"""Counts and warnings of the split stage: leaks, duplicates, contradictions, unknown tokens, few dev rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.records import DatasetSpec
from kinds import KINDS

MOSTLY_UNKNOWN = 0.2
"""Share of unknown tokens at which a split warns."""
FEW_DEV_ROWS = 100
"""Number of dev rows below which a split warns: one row is then more than a point."""
COUNTED = (
    "dropped_equal_to_dev",
    "dropped_with_another_label",
    "dev_rows_in_train",
    "duplicate_inputs",
    "inputs_with_two_labels",
)
"""Counts shared by the manifest and metrics.json."""


@dataclass(frozen=True)
class Unknown:
    """Number of unknown tokens and of all text tokens (no padding, [CLS] and the like)."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return round(self.count / max(1, self.of), 4)


def unknown_tokens(table: pa.Table, unknown: int | None, special: set[int]) -> Unknown:
    """Count the unknown tokens of one tokenised split; `special`: ids of special tokens."""
    ids = [part.flatten().flatten().to_numpy() for part in table.column("input_ids").chunks if len(part)]
    if not ids:
        return Unknown(0, 0)
    tokens = np.concatenate(ids)
    is_unknown = tokens == unknown if unknown is not None else np.zeros(len(tokens), bool)
    return Unknown(int(is_unknown.sum()), int((is_unknown | ~np.isin(tokens, sorted(special))).sum()))


def points_per_row(spec: DatasetSpec, rows: Mapping[str, int]) -> dict[str, float]:
    """Points of accuracy per row of each dev set; {} for a regression."""
    if not KINDS[spec.kind].has_classes:
        return {}
    return {name: round(100 / rows[name], 2) for name in spec.dev_sets if rows.get(name)}


def few_dev_rows(spec: DatasetSpec, rows: Mapping[str, int], *, held_out: bool) -> list[str]:
    """A warning for each small dev set; `held_out`: it was taken from train, because there is no dev file."""
    worth = points_per_row(spec, rows)
    found = []
    for name in (name for name in spec.dev_sets if rows[name] < FEW_DEV_ROWS):
        each = f": one row is {worth[name]:.1f} points of accuracy" if name in worth else ""
        found.append(
            f"{name} of {rows[name]} rows measures little{each}; it should have {FEW_DEV_ROWS} or more: "
            + ("raise split.dev_fraction, or label more rows" if held_out else "label more rows for it")
        )
    return found


def mostly_unknown(train: Unknown, tokenizer: str) -> list[str]:
    """A warning if a large share of the tokens is unknown to the tokenizer."""
    if train.share < MOSTLY_UNKNOWN:
        return []
    return [
        f"{train.count} of train's {train.of} tokens ({train.share:.0%}) are unknown to the tokenizer ({tokenizer}), so no "
        "model can read them: set split.tokenizer to that of a checkpoint which knows such texts"
    ]


def remarks(manifest: Mapping[str, object], truncated: int, max_length: int, unknown: Mapping[str, Unknown]) -> str:
    """Remarks on the rows for the final line, zero counts left out."""
    counts = {name: int(str(manifest[name])) for name in COUNTED}
    whole = Unknown(sum(part.count for part in unknown.values()), sum(part.of for part in unknown.values()))
    leaked, other = counts["dev_rows_in_train"], counts["dropped_with_another_label"]
    aside = [f"{leaked} dev row{' was' if leaked == 1 else 's were'} in train"] + (
        [f"{other} of them with another label"] if other else []
    )
    said = [
        (counts["dropped_equal_to_dev"], f"train rows equal to dev rows dropped ({', '.join(aside)})"),
        (counts["duplicate_inputs"], "repetitions of an input"),
        (counts["inputs_with_two_labels"], "inputs with contradicting labels"),
        (truncated, f"rows cut at {max_length} tokens"),
        (whole.count, f"unknown tokens ({whole.share:.1%})"),
    ]
    return "".join(f"; {count} {_noun(what, count)}" for count, what in said if count)


def _noun(what: str, count: int) -> str:
    """A count with its noun: "1 row cut", "2 rows cut"."""
    if count > 1:
        return what
    for many, one in (
        ("repetitions", "repetition"),
        ("inputs", "input"),
        ("train rows", "train row"),
        ("rows cut", "row cut"),
    ):
        if what.startswith(many):
            return one + what.removeprefix(many)
    return what.replace("unknown tokens", "unknown token")
