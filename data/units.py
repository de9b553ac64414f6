"""Units of rows that must share a split (identical inputs, rows of one group), and each unit's class.

A unit's class is the majority label of its rows (ties: the lower label); for regression it is the quintile of their
mean score. So classes keep their proportions, but for the rows of a unit that disagree with its majority.

Units and rows are held as arrays: millions of objects would not fit where their texts do.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from data.records import DatasetSpec, Row
from data.row_table import RowTable
from kinds import KINDS

QUINTILES = 5
KEY_BYTES = 16
"""Bytes of an input's hash: two of a billion rows collide with a chance of 1 in 10^20."""


@dataclass(frozen=True)
class Units:
    """U units of N rows, in the order of each unit's first row."""

    rows: np.ndarray
    """(N,) positions of the rows, unit by unit, ascending within each."""
    starts: np.ndarray
    """(U+1,) start of each unit in `rows`."""
    strata: np.ndarray
    """(U,) class, or quintile."""
    ranks: np.ndarray
    """(U,) rank key of a unit within its class, 32 bytes; depends on the salt and its own name only."""

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def sizes(self) -> np.ndarray:
        """(U,) rows."""
        return np.diff(self.starts)

    def pick(self, units: np.ndarray) -> Units:
        """Some of the units, by their ascending positions."""
        sizes = self.sizes[units]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        rows = self.rows[np.repeat(self.starts[:-1][units], sizes) + inside]
        return Units(rows, starts, self.strata[units], self.ranks[units])


def input_key(spec: DatasetSpec, row: Row) -> str:
    """The row's rendered text as one string, ignoring white space and case as an uncased model does."""
    texts = [text for pair in row.texts(spec) for text in pair if text is not None]
    return "\0".join(" ".join(text.casefold().split()) for text in texts)


def input_keys(rows: RowTable) -> np.ndarray:
    """(N,) a hash of each row's input."""
    found = np.empty(len(rows), f"S{KEY_BYTES}")
    for i, row in enumerate(rows):
        found[i] = hashlib.blake2b(input_key(rows.spec, row).encode(), digest_size=KEY_BYTES).digest()
    return found


def make_units(rows: RowTable, keys: np.ndarray, salt: str) -> Units:
    """Join rows that share an input or a group, transitively; `keys` are `input_keys(rows)`."""
    parts = _joined(keys, rows.groups)
    _, firsts, parts = np.unique(parts, return_index=True, return_inverse=True)
    # Numbered by their first rows: what no rank decides, the order of the file does.
    order = np.argsort(firsts)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    unit_of = number[parts]
    members = np.argsort(unit_of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(unit_of, minlength=len(order)))]).astype(np.int64)
    return Units(members, starts, _strata(rows, members, starts), _ranks(rows, unit_of, starts, salt))


def _joined(keys: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N,) equal numbers for rows of one unit."""
    _, texts = np.unique(keys, return_inverse=True)
    grouped = np.flatnonzero(groups >= 0)
    if not len(grouped):
        return texts
    count = int(texts.max()) + 1
    parents = list(range(count + int(groups.max()) + 1))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for text, group in zip(texts[grouped].tolist(), groups[grouped].tolist(), strict=True):
        parents[root(text)] = root(count + group)
    return np.fromiter((root(i) for i in range(count)), np.int64, count)[texts]


def _ranks(rows: RowTable, unit_of: np.ndarray, starts: np.ndarray, salt: str) -> np.ndarray:
    """(U,) hash of salt and name; a unit's name is the alphabetically first of its rows' groups and texts."""
    found, many = np.empty(len(starts) - 1, "S32"), dict[int, str]()
    single = np.diff(starts) == 1
    for row, unit in zip(rows, unit_of, strict=True):
        name = row.group if row.group is not None else input_key(rows.spec, row)
        if single[unit]:
            found[unit] = _rank(salt, name)
        else:
            many[unit] = min(name, many.get(unit, name))
    for unit, name in many.items():
        found[unit] = _rank(salt, name)
    return found


def _rank(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{name}".encode()).digest()


def _strata(rows: RowTable, members: np.ndarray, starts: np.ndarray) -> np.ndarray:
    labels = rows.labels
    edges = [] if KINDS[rows.spec.kind].has_classes else _quintile_edges(labels)
    units = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    count = len(starts) - 1
    return np.fromiter((_stratum(labels[members[a:b]].tolist(), edges) for a, b in units), np.int64, count)


def _quintile_edges(labels: np.ndarray) -> list[float]:
    """The four scores that divide the rows into five parts of about equal size (ties stay together)."""
    scores = np.sort(labels)
    return [float(scores[len(scores) * k // QUINTILES]) for k in range(1, QUINTILES)] if len(scores) else []


def _stratum(labels: Sequence[int | float], edges: Sequence[float]) -> int:
    if edges:
        return bisect.bisect_right(edges, fmean(labels))
    if len(labels) == 1:
        return int(labels[0])
    counts = Counter(labels)
    return int(min(counts, key=lambda label: (-counts[label], label)))


def apportion(total: int, counts: dict[int, int]) -> dict[int, int]:
    """Divide `total` in proportion to `counts`, exactly, each at least 1, by largest remainders."""
    everything = sum(counts.values())
    exact = {key: total * count / everything for key, count in sorted(counts.items())}
    shares = {key: max(1, int(share)) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (-(exact[key] - int(exact[key])), key))
    for key in by_remainder:
        if sum(shares.values()) < total and shares[key] <= exact[key]:
            shares[key] += 1
    return shares


def take(units: Units, quota: dict[int, int]) -> tuple[Units, Units]:
    """(taken, left): within each class the first units by rank until its quota of rows is met.

    A unit that would overshoot the quota by more than it fills of it is passed over: a giant group must not make a
    tenth into a half.
    """
    taken, filled = np.zeros(len(units), bool), Counter[int]()
    strata, sizes = units.strata.tolist(), units.sizes.tolist()
    for unit in np.argsort(units.ranks, kind="stable").tolist():
        room = quota.get(strata[unit], 0) - filled[strata[unit]]
        if room > 0 and sizes[unit] <= 2 * room:
            taken[unit] = True
            filled[strata[unit]] += sizes[unit]
    return units.pick(np.flatnonzero(taken)), units.pick(np.flatnonzero(~taken))
