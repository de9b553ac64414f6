"""Rows in columns are the rows that went in, whichever way they are asked for."""

import numpy as np
import pytest
from made_rows import SCORE, SINGLE, single_rows, spec_of

from data.records import Row
from data.row_table import CHUNK, RowTable

ROWS = single_rows(CHUNK + 5)


def test_rows_come_back_as_they_went_in_also_past_a_chunk() -> None:
    table = RowTable.of(spec_of(SINGLE), iter(ROWS))
    assert list(table) == ROWS
    assert (len(table), table[0], table[-1]) == (len(ROWS), ROWS[0], ROWS[-1])
    assert list(table[3:7]) == ROWS[3:7]
    with pytest.raises(IndexError):
        table[len(ROWS)]


def test_picked_rows_may_be_picked_from_again() -> None:
    picked = RowTable.of(spec_of(SINGLE), ROWS).pick(np.array([5, 2, 9])).pick(np.array([2, 0]))
    assert list(picked) == [ROWS[9], ROWS[5]]
    assert picked.labels.tolist() == [ROWS[9].label, ROWS[5].label]
    assert picked.table.num_rows == 2


def test_groups_are_numbers_and_rows_without_one_have_none() -> None:
    rows = [Row(str(i), {"text": f"t {i}"}, 0, group) for i, group in enumerate(["a", None, "b", "a"])]
    numbers = RowTable.of(spec_of(SINGLE), rows).groups
    assert numbers[1] == -1
    assert numbers[0] == numbers[3] != numbers[2]


def test_no_rows_are_a_table_and_scores_keep_their_type() -> None:
    assert list(RowTable.of(spec_of(SINGLE), [])) == []
    one = RowTable.of(spec_of(SCORE), [Row("1", {"first": "a", "second": "b"}, 2.5)])
    assert one.labels.dtype == np.float64


def test_a_row_takes_little_more_than_its_text() -> None:
    table = RowTable.of(spec_of(SINGLE), ROWS).table
    text = sum(len(str(row.fields["text"])) for row in ROWS)
    assert table.nbytes < text + 32 * len(ROWS)
