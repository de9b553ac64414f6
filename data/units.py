"""What must share a split: identical inputs, and rows of one group; and the class that each such unit counts in.

A unit's class is the majority label of its rows (ties: the lower label); for regression it is the quintile of their
mean score. So classes keep their proportions, but for the rows of a unit that disagree with its majority.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from data.records import DatasetSpec, Row

QUINTILES = 5


@dataclass(frozen=True)
class Unit:
    """Rows (by position) that go to one split together."""

    rows: tuple[int, ...]
    stratum: int
    """Class, or quintile."""
    name: str
    """What is hashed: a text or group of the unit, the first in the alphabet, so that it does not depend on order."""

    def rank(self, salt: str) -> bytes:
        """Where the unit stands among those of its class; depends on nothing but the salt and its own text."""
        return hashlib.sha256(f"{salt}\0{self.name}".encode()).digest()


def input_key(spec: DatasetSpec, row: Row) -> str:
    """The row's rendered text as one string; white space and case do not count: an uncased model sees neither."""
    texts = [text for pair in row.texts(spec) for text in pair if text is not None]
    return "\0".join(" ".join(text.casefold().split()) for text in texts)


def make_units(spec: DatasetSpec, rows: Sequence[Row], keys: Sequence[str]) -> list[Unit]:
    """Join rows that share an input or a group, also through other rows."""
    parents = list(range(len(rows)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        for token in [("text", keys[i])] + ([("group", row.group)] if row.group is not None else []):
            parents[root(i)] = root(first.setdefault(token, i))
    members: dict[int, list[int]] = {}
    for i in range(len(rows)):
        members.setdefault(root(i), []).append(i)
    edges = _quintile_edges(rows) if spec.kind == "regression" else []
    names = [row.group if row.group is not None else key for row, key in zip(rows, keys, strict=True)]
    return [
        Unit(tuple(unit), _stratum([rows[i].label for i in unit], edges), min(names[i] for i in unit))
        for unit in members.values()
    ]


def _quintile_edges(rows: Sequence[Row]) -> list[float]:
    """The four scores that part the rows into five parts of about one size (ties in one part)."""
    scores = sorted(row.label for row in rows)
    return [scores[len(scores) * k // QUINTILES] for k in range(1, QUINTILES)] if scores else []


def _stratum(labels: Sequence[int | float], edges: Sequence[float]) -> int:
    if edges:
        return bisect.bisect_right(edges, fmean(labels))
    counts = Counter(labels)
    return int(min(counts, key=lambda label: (-counts[label], label)))


def apportion(total: int, counts: dict[int, int]) -> dict[int, int]:
    """Share `total` out in proportion to `counts`, exactly, each at least 1: largest remainders get what is left."""
    everything = sum(counts.values())
    exact = {key: total * count / everything for key, count in sorted(counts.items())}
    shares = {key: max(1, int(share)) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (-(exact[key] - int(exact[key])), key))
    for key in by_remainder:
        if sum(shares.values()) < total and shares[key] <= exact[key]:
            shares[key] += 1
    return shares


def take(units: list[Unit], quota: dict[int, int], salt: str) -> tuple[list[Unit], list[Unit]]:
    """(taken, left): within each class the first units by rank until its quota of rows is met.

    A unit that would overshoot the quota by more than it fills of it is passed over: a giant group must not make a
    tenth into a half.
    """
    taken, left, filled = [], [], Counter[int]()
    for unit in sorted(units, key=lambda unit: (unit.rank(salt), unit.rows)):
        room = quota.get(unit.stratum, 0) - filled[unit.stratum]
        if room > 0 and len(unit.rows) <= 2 * room:
            taken.append(unit)
            filled[unit.stratum] += len(unit.rows)
        else:
            left.append(unit)
    return taken, left
