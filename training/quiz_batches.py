"""Batches of quiz rows: endless for steps, one pass at a time for the rewards of a curriculum's target."""

from collections.abc import Sequence

import numpy as np

from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from errors import UserError
from training.resume import Resumable


class QuizBatches(Resumable):
    """Batches of some rows of a quiz split, grouped by length, reshuffled each pass, the same in every run.

    Args:
        split: the quiz split.
        batch_size: rows of a batch.
        seed: of the order.
        rows: indices of the rows used; None: all of them.
        first: the number of the first pass.
    """

    VALUES = ("given",)

    def __init__(
        self, split: TokenSplit, batch_size: int, *, seed: int, rows: Sequence[int] | None = None, first: int = 0
    ) -> None:
        self._split, self._batch_size, self._seed = split, batch_size, seed
        self._rows = np.arange(len(split)) if rows is None else np.asarray(rows)
        if len(self._rows) == 0:
            raise UserError("a quiz split without rows: enlarge split.quiz, or take fewer rows out of it for the exam")
        self._first, self._pass, self._order = first, -1, list[list[int]]()
        self.given = 0
        """Number of batches returned by `next_batch`."""

    def next_batch(self) -> Batch:
        """The next batch; starts a new pass at the end of one."""
        each = -(-len(self._rows) // self._batch_size)
        number, position = divmod(self.given, each)
        if number != self._pass:
            self._pass, self._order = number, self._order_of(self._first + number)
        self.given += 1
        return collate(self._split, self._order[position])

    def rows_in(self, batches: int) -> int:
        """Return the number of distinct rows in the given number of batches."""
        return sum(len(rows) for rows in self._order_of(self._first)[:batches])

    def one_pass(self, number: int) -> list[Batch]:
        """All batches of pass `number`."""
        return [collate(self._split, rows) for rows in self._order_of(number)]

    def _order_of(self, number: int) -> list[list[int]]:
        lengths = self._split.lengths[self._rows]
        order = batch_order(lengths, self._batch_size, seed=self._seed, epoch=number, shuffle=True)
        return [self._rows[indices].tolist() for indices in order]


def fixed_batches(split: TokenSplit, rows: Sequence[int], batch_size: int) -> list[Batch]:
    """The given rows in fixed batches, grouped by length."""
    index = np.asarray(rows)
    order = batch_order(split.lengths[index], batch_size, seed=0, epoch=0, shuffle=False)
    return [collate(split, index[indices].tolist()) for indices in order]
