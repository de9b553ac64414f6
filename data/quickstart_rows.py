"""One clean row of each quickstart dataset: its texts, and the true label.

standing   single      what anna owns makes her poor, modest or rich
payment    pair        does what anna has pay for a pony? surely, surely not, or it depends
worth      regression  what anna has, on a scale from 0 to 5 (logarithm of the coins)
bargain    choice      which of two lots is worth more
"""

import math
import random

from data.quickstart_world import HIGHEST, PEOPLE, PRICES, random_goods

Row = dict[str, str | float]

STANDINGS = ("poor", "modest", "rich")
POOR_BELOW, RICH_FROM = 18, 45
"""In coins; about a third of all pairs of goods falls in each class."""
ANSWERS = ("entailment", "contradiction", "neutral")
BARGAINING = 1.6
"""Factor around the price within which the answer depends on the bargaining: neutral."""
CHOICES = ("choice1", "choice2")
TOP_SCORE = 5.0
SMALL_CHANGE = 4
"""Coins at which the logarithmic scale of `worth` begins to bend."""


def standing_row(rng: random.Random) -> Row:
    """{text, label}: `anna owns five old red lamps and two good blue hats`, one of `STANDINGS`."""
    wanted = rng.choice(STANDINGS)  # drawn first: classes are even
    while True:
        one, two = random_goods(rng), random_goods(rng)
        if _standing(one.worth + two.worth) == wanted:
            return {"text": f"{rng.choice(PEOPLE)} owns {one.text} and {two.text}", "label": wanted}


def _standing(coins: float) -> str:
    if coins < POOR_BELOW:
        return "poor"
    return "modest" if coins < RICH_FROM else "rich"


def payment_row(rng: random.Random) -> Row:
    """{premise, hypothesis, label}: goods, `anna can pay for a pony`, one of `ANSWERS`."""
    wanted = rng.choice(ANSWERS)
    while True:
        one, two, price = random_goods(rng), random_goods(rng), rng.choice(list(PRICES))
        if _answer(one.worth + two.worth, PRICES[price]) == wanted:
            break
    who = rng.choice(PEOPLE)
    premise = f"{who} has {one.text} and {two.text}"
    return {"premise": premise, "hypothesis": f"{who} can pay for a {price}", "label": wanted}


def _answer(coins: float, price: float) -> str:
    if coins >= price * BARGAINING:
        return "entailment"
    return "contradiction" if coins < price / BARGAINING else "neutral"


def worth_row(rng: random.Random) -> Row:
    """{text, label}: goods as in `standing`, and a score from 0 to 5."""
    one, two = random_goods(rng), random_goods(rng)
    return {"text": f"{rng.choice(PEOPLE)} has {one.text} and {two.text}", "label": score(one.worth + two.worth)}


def score(coins: float) -> float:
    """The scale of `worth`: 5 * log(1 + coins / 4) / log(1 + highest / 4), so 0 to 5."""
    return TOP_SCORE * math.log1p(coins / SMALL_CHANGE) / math.log1p(HIGHEST / SMALL_CHANGE)


def bargain_row(rng: random.Random) -> Row:
    """{premise, choice1, choice2, label}: two lots of different worth, and the name of the better choice."""
    one, two = random_goods(rng), random_goods(rng)
    while one.worth == two.worth:
        two = random_goods(rng)
    who = rng.choice(PEOPLE)
    return {
        "premise": f"{who} wants what is worth more",
        "choice1": f"{who} takes {one.text}",
        "choice2": f"{who} takes {two.text}",
        "label": CHOICES[0] if one.worth > two.worth else CHOICES[1],
    }
