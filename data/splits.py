"""Deterministic splitting of the official rows into train, quiz, selection and dev.

Within each class (quintile for regression) units of rows are ranked by a hash of the split seed and their text, so
that adding rows moves few others. The first tenth is `quiz` (meta-teacher, curriculum, teachers of metadistil and lgtm),
the next tenth `selection` (chooses epochs and episodes), the rest `train`; `dev` is the benchmark's own and only reported on. A train row whose
input equals a dev row's is dropped. A dataset without a dev file first gives up 15 % of its rows as `dev`, ranked in
the same way with a seed of its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.class_checks import check_classes, no_rows_left
from data.records import DatasetSpec, Row
from data.rendering import repaired_marks
from data.row_table import RowTable
from data.units import Units, apportion, input_keys, make_units, take
from errors import UserError


@dataclass(frozen=True)
class Splits:
    """The rows of every split by its name, and the counts of dropped and repeated rows."""

    rows: dict[str, RowTable]
    """"train", "quiz", "selection" and the dev sets."""
    manifest: dict[str, object]


@dataclass(frozen=True)
class Shares:
    """The sizes of the splits."""

    quiz: float
    selection: float
    selection_minimum: int
    selection_maximum: float
    dev_fraction: float

    def __post_init__(self) -> None:
        for name in ("quiz", "selection", "selection_maximum", "dev_fraction"):
            if not 0 < getattr(self, name) < 0.5:
                raise UserError(f"split.{name} is {getattr(self, name)}; must be above 0 and below 0.5")
        if self.selection_minimum < 1:
            raise UserError(f"split.selection_minimum is {self.selection_minimum}; must be 1 or more")

    def selection_rows(self, rows: int) -> int:
        """The share of the rows, within its bounds."""
        wanted = max(round(self.selection * rows), self.selection_minimum)
        return min(wanted, int(self.selection_maximum * rows))


def make_splits(
    spec: DatasetSpec,
    train: Sequence[Row],
    dev: Mapping[str, Sequence[Row]],
    *,
    seed: int,
    shares: Shares,
    dev_seed: int = 0,
    selection_on_dev: bool = False,
) -> Splits:
    """All splits of one dataset; `dev` maps names of dev sets to rows, and is empty where there is none.

    With `selection_on_dev` (the papers' protocol) the selection split is the first dev set itself, and its rows stay
    in train. Raises UserError where a split would lack a class, or hold nothing.
    """
    held_out = not dev
    pool, dev_rows = RowTable.of(spec, train), {name: RowTable.of(spec, rows) for name, rows in dev.items()}
    if held_out:
        pool, dev_rows = _hold_out(pool, shares, dev_seed)
    whole = pool
    pool, keys, leak = _without_dev_rows(whole, dev_rows)
    dropped = leak["dropped_equal_to_dev"]
    if not len(pool):
        raise UserError(no_rows_left(spec, len(whole), dropped))
    units = make_units(pool, keys, str(seed))
    rows = _part(pool, units, shares, selection_on_dev)
    if selection_on_dev:
        rows["selection"] = next(iter(dev_rows.values()))
    rows |= dev_rows
    parted = ("train", "quiz", *([] if selection_on_dev else ["selection"]), *(dev_rows if held_out else []))
    # Where dev is a part of the train file nothing was dropped: equal inputs share a split.
    check_classes(spec, RowTable.of(spec, train) if held_out else pool, rows, parted, dropped)
    done: dict[str, object] = {
        "seed": seed,
        "selected_on": "dev" if selection_on_dev else "selection",
        "dev_held_out": held_out,
        "dev_seed": dev_seed if held_out else None,
        **leak,
        **_repetitions(pool.labels, keys, units),
    }
    summaries = {name: _summary(spec, members) for name, members in rows.items()}
    return Splits(rows, {"dataset": spec.name, "benchmark": spec.benchmark, **done, "splits": summaries})


def _hold_out(pool: RowTable, shares: Shares, seed: int) -> tuple[RowTable, dict[str, RowTable]]:
    """(the rest, {"dev": 15 %}), for a dataset without a dev file."""
    units = make_units(pool, input_keys(pool), f"dev {seed}")
    taken, left = take(units, _quota(pool.spec, units, round(shares.dev_fraction * len(pool))))
    return _rows_of(pool, left), {"dev": _rows_of(pool, taken)}


def _without_dev_rows(pool: RowTable, dev: Mapping[str, RowTable]) -> tuple[RowTable, np.ndarray, dict[str, int]]:
    """(rows, their keys, dropped counts): rows without those whose input equals a dev row's."""
    keys, in_dev = input_keys(pool), np.concatenate([input_keys(rows) for rows in dev.values()])
    leaked = np.isin(keys, in_dev)
    labels: dict[bytes, set[int | float]] = {}
    for key, label in zip(
        in_dev.tolist(), np.concatenate([rows.labels for rows in dev.values()]).tolist(), strict=True
    ):
        labels.setdefault(key, set()).add(label)
    dropped = zip(keys[leaked].tolist(), pool.labels[leaked].tolist(), strict=True)
    counts = {
        "dropped_equal_to_dev": int(leaked.sum()),
        "dropped_with_another_label": sum(label not in labels[key] for key, label in dropped),
        "dev_rows_in_train": int(np.isin(in_dev, keys).sum()),
    }
    return pool.pick(np.flatnonzero(~leaked)), keys[~leaked], counts


def _part(pool: RowTable, units: Units, shares: Shares, selection_on_dev: bool) -> dict[str, RowTable]:
    """Quiz, then selection, then train, by rank within each class."""
    chosen, rest = take(units, _quota(pool.spec, units, round(shares.quiz * len(pool))))
    rows = {"quiz": _rows_of(pool, chosen), "selection": pool.pick(np.arange(0))}
    if not selection_on_dev:
        chosen, rest = take(rest, _quota(pool.spec, units, shares.selection_rows(len(pool))))
        rows["selection"] = _rows_of(pool, chosen)
    return {"train": _rows_of(pool, rest), **rows}


def _quota(spec: DatasetSpec, units: Units, total: int) -> dict[int, int]:
    """Rows per class: in proportion, at least one."""
    if not len(units):
        raise UserError(
            f"dataset {spec.name}: no train rows are left to split; every split needs rows of its own: add some"
        )
    counts = np.bincount(units.strata, weights=units.sizes)
    return apportion(total, {int(stratum): int(counts[stratum]) for stratum in np.unique(units.strata)})


def _rows_of(pool: RowTable, units: Units) -> RowTable:
    """The units' rows in the order of the file."""
    return pool.pick(np.sort(units.rows))


def _repetitions(labels: np.ndarray, keys: np.ndarray, units: Units) -> dict[str, int]:
    """Counts of duplicates among the rows to split, for the manifest."""
    values, codes = np.unique(labels, return_inverse=True)
    inputs, numbers = np.unique(keys, return_inverse=True)
    labels_of = np.bincount(np.unique(numbers * len(values) + codes) // max(1, len(values)))
    return {
        "duplicate_inputs": len(keys) - len(inputs),
        "inputs_with_two_labels": int((labels_of > 1).sum()),
        "units": len(units),
        "largest_unit": int(units.sizes.max(initial=0)),
    }


def _summary(spec: DatasetSpec, rows: RowTable) -> dict[str, object]:
    """Rows, classes, repaired marks and the hash of one split."""
    digest, repaired = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps([row.id, row.texts(spec), row.label]).encode() + b"\n")
        repaired += repaired_marks(spec.render, row.fields)
    counts = Counter(rows.labels.tolist())
    return {
        "rows": len(rows),
        "classes": {name: counts[label] for label, name in enumerate(spec.label_names)},
        "repaired_marks": repaired,
        "sha256": digest.hexdigest(),
    }
