"""Quiz batches for the curriculum: without end for an action, one pass at a time for the target's rewards."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from errors import UserError
from training.resume_files import State


class QuizBatches:
    """Batches of some rows of a quiz split, length-grouped, reshuffled each pass, the same on every run.

    Args:
        split: the quiz split.
        batch_size: rows of a batch.
        seed: of the order.
        rows: indices of the rows used; None: all of them.
    """

    def __init__(self, split: TokenSplit, batch_size: int, *, seed: int, rows: Sequence[int] | None = None) -> None:
        self._split, self._batch_size, self._seed = split, batch_size, seed
        self._rows = np.arange(len(split)) if rows is None else np.asarray(rows)
        if len(self._rows) == 0:
            raise UserError("a quiz split without rows: enlarge split.quiz, or take fewer rows out of it for the exam")
        self._given, self._pass, self._batches = 0, -1, list[Batch]()

    def next_batch(self) -> Batch:
        """The next batch; a new pass begins where one ends."""
        each = -(-len(self._rows) // self._batch_size)
        number, position = divmod(self._given, each)
        if number != self._pass:
            self._pass, self._batches = number, self.one_pass(number)
        self._given += 1
        return self._batches[position]

    def state_dict(self) -> State:
        """The position of `next_batch`."""
        return {"given": self._given}

    def load_state_dict(self, state: State) -> None:
        """The reverse of `state_dict`."""
        self._given = cast(int, state["given"])

    def rows_in(self, batches: int) -> int:
        """Return the number of different rows in the first so many batches."""
        return sum(len(batch) for batch in self.one_pass(0)[:batches])

    def one_pass(self, number: int) -> list[Batch]:
        """All batches of pass `number`."""
        order = batch_order(
            self._split.lengths[self._rows], self._batch_size, seed=self._seed, epoch=number, shuffle=True
        )
        return [collate(self._split, self._rows[indices].tolist()) for indices in order]


def fixed_batches(split: TokenSplit, rows: Sequence[int], batch_size: int) -> list[Batch]:
    """The given rows in batches that never change, grouped by length."""
    index = np.asarray(rows)
    order = batch_order(split.lengths[index], batch_size, seed=0, epoch=0, shuffle=False)
    return [collate(split, index[indices].tolist()) for indices in order]
