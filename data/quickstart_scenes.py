"""The small world of the quickstart benchmark: its words, and how one fact about it becomes a sentence.

Standard library only. Every dataset of the benchmark talks about the same few people, things, colours, places and
amounts, so what is learnt on one (which words are numbers, which are of one kind, what "fewer" means) helps with the
others: without that, a curriculum over them would have nothing to choose.
"""

import random
from dataclasses import dataclass, replace

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
THINGS = ("cups", "bowls", "books", "balls", "shoes", "keys", "lamps", "coins")
PLACES = ("on the table", "on the shelf", "in the box", "in the garden", "in the kitchen", "under the bed")
PEOPLE = ("anna", "ben", "carl", "dora", "emil", "fay")

SLOTS = ("number", "colour", "thing", "place")
VALUES = {"number": NUMBERS, "colour": COLOURS, "thing": THINGS, "place": PLACES}


@dataclass(frozen=True)
class Scene:
    """One fact: so many things, of a colour, at a place. Each field is a word (a phrase for the place)."""

    number: str
    colour: str
    thing: str
    place: str

    def value(self, slot: str) -> str:
        """The word of one of `SLOTS`."""
        return str(getattr(self, slot))


def random_scene(rng: random.Random) -> Scene:
    """A scene with every slot drawn independently and evenly."""
    return Scene(*(rng.choice(VALUES[slot]) for slot in SLOTS))


def other_value(rng: random.Random, slot: str, value: str) -> str:
    """A value of the slot that differs from `value`, drawn evenly."""
    return rng.choice([word for word in VALUES[slot] if word != value])


def changed(rng: random.Random, scene: Scene, slot: str) -> Scene:
    """The scene with another value in one slot."""
    return replace(scene, **{slot: other_value(rng, slot, scene.value(slot))})


def amount(word: str) -> int:
    """The number that a word of `NUMBERS` stands for (2 to 9)."""
    return NUMBERS.index(word) + 2
