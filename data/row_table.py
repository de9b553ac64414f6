"""Many rows in little memory: one column per field; row objects are made on access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import cast, overload

import numpy as np
import pyarrow as pa

from data.records import DatasetSpec, Row
from data.rendering import integer_columns
from kinds import KINDS

ID, LABEL, GROUP = "distilflow_id", "distilflow_label", "distilflow_group"
"""Reserved column names that cannot clash with raw columns."""

CHUNK = 4000
"""Rows that exist as objects at a time."""


class RowTable(Sequence[Row]):
    """N rows of one dataset; takes little more memory than their texts (a row object takes about a kilobyte).

    Args:
        spec: of the dataset.
        table: its input columns and our own.
        positions: of the rows seen, in the table; None: all.
    """

    def __init__(self, spec: DatasetSpec, table: pa.Table, positions: np.ndarray | None = None) -> None:
        self.spec, self._table, self._positions = spec, table, positions

    @classmethod
    def of(cls, spec: DatasetSpec, rows: Iterable[Row]) -> RowTable:
        """Build a table from an iterator, chunk by chunk; a RowTable is returned unchanged."""
        if isinstance(rows, RowTable):
            return rows
        left, parts = iter(rows), [_to_table(spec, [])]
        while chunk := list(islice(left, CHUNK)):
            parts.append(_to_table(spec, chunk))
        return cls(spec, pa.concat_tables(parts).combine_chunks())

    @property
    def table(self) -> pa.Table:
        """The rows' columns."""
        return self._table if self._positions is None else self._table.take(self._positions)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64, float64 for regression."""
        return self._column(LABEL).to_numpy()

    @property
    def groups(self) -> np.ndarray:
        """(N,) group number, -1 for rows without a group."""
        codes = self._column(GROUP).combine_chunks().dictionary_encode().indices
        return codes.fill_null(-1).to_numpy(zero_copy_only=False)

    def pick(self, positions: np.ndarray) -> RowTable:
        """The rows at `positions`, in that order, without copying."""
        own = positions if self._positions is None else self._positions[positions]
        return RowTable(self.spec, self._table, own)

    def __len__(self) -> int:
        return self._table.num_rows if self._positions is None else len(self._positions)

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), CHUNK):
            yield from self._rows(start, min(start + CHUNK, len(self)))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> RowTable: ...
    def __getitem__(self, index: int | slice) -> Row | RowTable:
        if isinstance(index, slice):
            return self.pick(np.arange(len(self))[index])
        place = range(len(self))[index]
        return self._rows(place, place + 1)[0]

    def _column(self, name: str) -> pa.ChunkedArray:
        column = self._table.column(name)
        return column if self._positions is None else column.take(self._positions)

    def _rows(self, start: int, stop: int) -> list[Row]:
        if self._positions is None:
            part = self._table.slice(start, stop - start)
        else:
            part = self._table.take(self._positions[start:stop])
        raw = cast(list[dict], part.to_pylist())
        return [Row(r[ID], {name: r[name] for name in self.spec.columns}, r[LABEL], r[GROUP]) for r in raw]


def _to_table(spec: DatasetSpec, rows: Sequence[Row]) -> pa.Table:
    integers = integer_columns(spec.render)
    columns = {
        name: pa.array([row.fields[name] for row in rows], pa.int64() if name in integers else pa.string())
        for name in spec.columns
    }
    columns[LABEL] = pa.array([row.label for row in rows], pa.from_numpy_dtype(KINDS[spec.kind].label_type))
    columns[ID] = pa.array([row.id for row in rows], pa.string())
    columns[GROUP] = pa.array([row.group for row in rows], pa.string())
    return pa.table(columns)
