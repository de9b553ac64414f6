"""Progress of a training: a bar on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from tqdm import tqdm

from training.data_parallel import is_first

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 30.0


def watched(items: Iterable[Item], *, total: int, title: str, unit: str, done: int = 0) -> Iterator[Item]:
    """Yield the items with a progress bar on a terminal, or a line every half minute in a pipe; main process only.

    Args:
        items: what to go through.
        total: how many there are.
        title: stands before the bar, as in 'teacher rte 42, epoch 1/3'.
        unit: of the items, plural.
        done: how many of them an interrupted run went through before; they are not among `items`.
    """
    show = is_first()
    if show and sys.stderr.isatty():
        yield from tqdm(items, initial=done, total=total, desc=title, unit=f" {unit}", leave=False, dynamic_ncols=True)
        return
    said = time.monotonic()
    for number, item in enumerate(items, start=done):
        if show and time.monotonic() - said > SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"{title}: {number}/{total} {unit}", file=sys.stderr, flush=True)
        yield item


class Ticker:
    """Progress of the curriculum's episodes: a bar on a terminal, a line every half minute in a pipe."""

    def __init__(self, title: str, episodes: int) -> None:
        self._title, self._episodes, self._said = title, episodes, time.monotonic()
        hidden = None if is_first() else True  # None: where there is no terminal
        self._bar = tqdm(total=episodes, desc=title, unit=" episodes", leave=False, dynamic_ncols=True, disable=hidden)

    def episode(self, row: Mapping[str, float | int | str | None]) -> None:
        """Report the end of an episode; `row` is its record (number 0: the initial student)."""
        number = int(row["episode"] or 0)
        if number == 0 or not is_first():
            return
        self._bar.update(number - self._bar.n)  # an interrupted run goes on in the midst of them
        self._bar.set_postfix(selection_loss=f"{row['selection_loss']:.4f}")
        if number == self._episodes:
            self._bar.close()
        elif self._bar.disable and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            line = f"{self._title}: episode {number}/{self._episodes}, selection loss {row['selection_loss']:.4f}"
            print(line, file=sys.stderr, flush=True)
