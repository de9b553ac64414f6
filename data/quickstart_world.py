"""The small world of the quickstart benchmark: its words and the values of its things.

Standard library only. All datasets of the benchmark speak of people who own things, and every label follows from what
those things are worth: number x condition x thing. So what is learnt on one dataset (that nine old cups are worth less
than three golden bells) helps with the others; without that, a curriculum over them would have nothing to choose.
Colours mean nothing: they are there to be ignored.
"""

import random
from dataclasses import dataclass

NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
CONDITIONS = {"broken": 0.25, "old": 0.5, "good": 1.0, "golden": 2.0}
THINGS = {
    "pins": 1.0, "nails": 1.0, "cups": 2.0, "spoons": 2.0, "books": 3.0, "hats": 3.0,
    "chairs": 5.0, "lamps": 5.0, "clocks": 8.0, "drums": 8.0, "bells": 12.0, "harps": 12.0,
}  # fmt: skip
"""Value in coins of one piece of each sort in good condition."""
PRICES = {
    "hen": 6, "kite": 8, "goose": 10, "goat": 16, "pig": 25, "cart": 30, "pony": 40, "cow": 60, "boat": 90, "ship": 140,
}  # fmt: skip
"""Prices in coins; each has its own word."""
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
PEOPLE = ("anna", "ben", "carl", "dora", "emil", "fay")
OTHER_WORDS = ("has", "owns", "and", "can", "pay", "for", "a", "wants", "takes", "what", "is", "worth", "more")

HIGHEST = 2 * max(NUMBERS.values()) * max(CONDITIONS.values()) * max(THINGS.values())
"""Highest total value of two lots of goods, in coins (432)."""


@dataclass(frozen=True)
class Goods:
    """A lot of goods: a number of things of one sort, as words."""

    number: str
    condition: str
    colour: str
    thing: str

    @property
    def text(self) -> str:
        """For example `five old red lamps`."""
        return f"{self.number} {self.condition} {self.colour} {self.thing}"

    @property
    def worth(self) -> float:
        """Total value of the lot, in coins (0.5 to 216)."""
        return NUMBERS[self.number] * CONDITIONS[self.condition] * THINGS[self.thing]


def random_goods(rng: random.Random) -> Goods:
    """Goods with every word drawn evenly and independently."""
    number, condition, thing = (rng.choice(list(words)) for words in (NUMBERS, CONDITIONS, THINGS))
    return Goods(number, condition, rng.choice(COLOURS), thing)


def vocabulary() -> list[str]:
    """All words of the benchmark's texts, sorted, lower case, unique."""
    groups = (NUMBERS, CONDITIONS, THINGS, PRICES, COLOURS, PEOPLE, OTHER_WORDS)
    return sorted({word for group in groups for word in group})
