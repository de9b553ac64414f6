"""1,000 simulated nights of the gate: how often `champion` gets worse, and how often a good student is kept out.

    python -m experiments.nights                      # the tables of docs/registry.md, some minutes
    python -m experiments.nights --nights 100 --sets 2

A null student is a copy of its teacher that repairs a fifth of its errors and makes as many others, and so many points
of its right answers more are wrong: the planted margin. Which answers those are is drawn anew each night; the dev rows
are the same every night, as they are in a pipeline, and the tables are means over several sets of them.

Words: a *wrong promotion* is a version that becomes champion although its true margin to its own teacher, over all rows
like these, is below `registry.margin`. A champion that is *worse* than the one before has a lower true accuracy.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from config.stages import Registry
from registry.gate import ARITHMETIC
from reporting.statistics import Interval, paired_interval, paired_mean_interval
from reporting.tables import Table, markdown_table
from reporting.verdict.check_result import Verdict
from reporting.verdict.dev_rows import DevRows
from reporting.verdict.own_checks import own_checks
from seeds import numpy_generator

Floats = NDArray[np.float64]
PLANTED = (0, 2, 5, 15)
ROWS = (100, 500, 5000)
ACCURACY = 0.85
REPAIRED = 0.2
"""Share of the teacher's errors that a student does not make."""
SETS_ALONE = 20
"""Factor on the sets of dev rows where nights are independent: all nights on one set share its luck."""
SINKING = 0.02
"""Points that the teacher, and its student with it, lose every night in `sinking`."""


@dataclass(frozen=True)
class Night:
    """One night's student: margins of its right class (N,), and its true quality."""

    student: Floats
    passes: bool
    """True if it passes the tests of its own dev rows."""
    planted: float
    """Points to its own teacher, below 0 being better."""
    below: float
    """Points below the first night's teacher."""
    losses: Floats = field(repr=False, default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class ComparisonRule:
    """One rule for comparing a candidate with the champion."""

    name: str
    lets: Callable[[Night, Night], bool]
    tests: bool = True
    """True if candidates must pass the tests of their own dev rows; the first champion always did."""


@dataclass
class Story:
    """Record of the champion over the nights."""

    moves: int = 0
    worse: int = 0
    """Moves to a student that is truly worse."""
    wrong: int = 0
    chances: int = 0
    """Nights with a student that passes its own tests and is truly better, by 2 points or more."""
    kept_out: int = 0
    below: float = 0.0
    """Mean over nights of the champion's distance to the best, in points."""
    last: float = 0.0
    waited: int = 0
    """Nights until a better student became champion."""


class World:
    """A set of dev rows: the teacher's margins on them, and students drawn from those."""

    def __init__(self, rows: int, number: int) -> None:
        self.generator = numpy_generator(number, f"nights of {rows} rows")
        sizes = np.abs(self.generator.normal(2.5, 1.5, rows))
        self.teacher = np.where(self.generator.random(rows) < ACCURACY, sizes, -sizes)
        self.labels = self.generator.integers(0, 2, rows)

    def sunk(self, points: float) -> tuple[Floats, float]:
        """A teacher that is worse by the given points, and its true accuracy."""
        turned = (self.teacher > 0) & (self.generator.random(len(self.teacher)) < points / 100 / ACCURACY)
        return np.where(turned, -self.teacher / 2, self.teacher), ACCURACY - points / 100

    def night(self, planted: float, settings: Registry, sunk: float = 0.0) -> Night:
        """One student."""
        teacher, accuracy = self.sunk(sunk) if sunk else (self.teacher, ACCURACY)
        draw = self.generator.random(len(teacher))
        broken = (planted / 100 + (1 - accuracy) * REPAIRED) / accuracy
        turned = np.where(teacher > 0, draw < broken, draw < REPAIRED)
        sizes = np.exp(self.generator.normal(0, 0.2, len(teacher)))
        student = np.where(turned, -teacher / 2, teacher) * sizes
        passes = Verdict(own_checks(self.evidence(student, teacher), settings)).passed
        return Night(student, passes, planted, planted + sunk, np.logaddexp(0, -student))

    def evidence(self, student: Floats, teacher: Floats) -> DevRows:
        """The dev rows in the gate's form."""
        own, other = (self.logits(margins) for margins in (student, teacher))
        return DevRows("accuracy", "single", self.labels, own, other, 0.0, None, "selection", 1, 1.0)

    def logits(self, margins: Floats) -> Floats:
        """Two logits per row, the right class ahead by its margin."""
        logits = np.zeros((len(margins), 2))
        logits[np.arange(len(margins)), self.labels] = margins
        return logits


def loss(candidate: Night, champion: Night, level: float) -> Interval:
    """The candidate's mean loss minus the champion's on the same rows, with its interval."""
    return paired_mean_interval([candidate.losses], [champion.losses], level)


def accuracy(candidate: Night, champion: Night, level: float) -> Interval:
    """The candidate's accuracy minus the champion's on the same rows, a fraction, with its interval."""
    logits = [np.stack([np.zeros(len(one.student)), one.student], axis=1) for one in (candidate, champion)]
    labels = np.ones(len(candidate.student), dtype=np.int64)
    return paired_interval("accuracy", "single", labels, [logits[0]], [logits[1]], level)


def rules(level: float) -> tuple[ComparisonRule, ...]:
    """The rules compared; the second is the gate's, the last that of earlier releases."""
    return (
        ComparisonRule("not told apart passes", lambda own, other: _not_worse(own, other, level)),
        ComparisonRule("mean loss not higher", lambda own, other: loss(own, other, level).difference <= ARITHMETIC),
        ComparisonRule(
            "2 points worse excluded", lambda own, other: 100 * (accuracy(own, other, level).low or -1.0) > -2
        ),
        ComparisonRule("better for certain", lambda own, other: (loss(own, other, level).high or 0.0) < -ARITHMETIC),
        ComparisonRule(
            "not told apart passes, no other test", lambda own, other: _not_worse(own, other, level), tests=False
        ),
    )


def _not_worse(candidate: Night, champion: Night, level: float) -> bool:
    low = loss(candidate, champion, level).low
    return low is not None and low <= ARITHMETIC


def alone(rows: int, planted: float, nights: int, sets: int, settings: Registry) -> float:
    """Share of nights, over all sets of dev rows, on which a student passes its own tests."""
    worlds = [World(rows, number) for number in range(sets)]
    return float(np.mean([worlds[night % sets].night(planted, settings).passes for night in range(nights)]))


def mixed(world: World, nights: int, settings: Registry) -> Iterator[Night]:
    """Nights with students of every planted margin, equally often."""
    for planted in world.generator.choice(PLANTED, nights):
        yield world.night(float(planted), settings)


def sinking(world: World, nights: int, settings: Registry) -> Iterator[Night]:
    """Nights in which teacher and student get worse together, invisible to a margin to the teacher."""
    for night in range(nights):
        yield world.night(0.0, settings, sunk=SINKING * night)


def rising(world: World, nights: int, settings: Registry) -> Iterator[Night]:
    """Nights of students 2 points below, and 0 points below from the middle on."""
    for night in range(nights):
        yield world.night(2.0 if night < nights // 2 else 0.0, settings)


def follow(nights: Sequence[Night], rule: ComparisonRule, settings: Registry) -> Story:
    """Simulate the champion under one rule."""
    story, champion, below = Story(), None, []
    for night in nights:
        better = champion is not None and night.passes and night.below <= champion.below - 2
        story.chances += better
        if night.passes if champion is None else (night.passes or not rule.tests) and rule.lets(night, champion):
            story.moves += 1
            story.worse += champion is not None and night.below > champion.below
            story.wrong += -night.planted < settings.margin
            champion = night
        elif better:
            story.kept_out += 1
        if champion is not None:
            below.append(champion.below)
    story.below, story.last = (float(np.mean(below)), below[-1]) if below else (np.nan, np.nan)
    story.waited = sum(one > 0 for one in below[len(nights) // 2 :])
    return story


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.nights", description="Simulate nights of the gate.")
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--sets", type=int, default=5, help="sets of dev rows")
    options = parser.parse_args(arguments)
    settings = Registry()
    print(markdown_table(_alone_table(options.nights, SETS_ALONE * options.sets, settings)), flush=True)
    print(markdown_table(_rules_table(options.nights, options.sets, settings)), end="", flush=True)
    return 0


def _alone_table(nights: int, sets: int, settings: Registry) -> Table:
    margins = sorted((*PLANTED, -settings.margin))  # at the margin itself, where wrong promotions are most frequent
    body = [
        [f"{rows:,}", *(f"{100 * alone(rows, planted, nights, sets, settings):.1f}" for planted in margins)]
        for rows in ROWS
    ]
    return Table(["dev rows", *(f"{planted:g} points worse" for planted in margins)], body, names=0)


def _rules_table(nights: int, sets: int, settings: Registry) -> Table:
    header = [
        "dev rows",
        "rule",
        "moves",
        "to a worse one",
        "wrong",
        "better kept out",
        "mean below",
        "sinking",
        "waited",
    ]
    body: list[list[str]] = []
    for rows in ROWS:
        stories: dict[str, list[tuple[Story, ...]]] = {}
        for number in range(sets):
            plans = [list(plan(World(rows, number), nights, settings)) for plan in (mixed, sinking, rising)]
            for rule in rules(settings.level):
                stories.setdefault(rule.name, []).append(tuple(follow(plan, rule, settings) for plan in plans))
        body += [_rule_row(rows, name, told) for name, told in stories.items()]
    return Table(header, body, names=2)


def _rule_row(rows: int, name: str, told: Sequence[tuple[Story, ...]]) -> list[str]:
    mix, sink, rise = zip(*told, strict=True)
    moves, chances = sum(one.moves for one in mix), sum(one.chances for one in mix)
    return [
        f"{rows:,}",
        name,
        f"{np.mean([one.moves for one in mix]):.0f}",
        f"{100 * sum(one.worse for one in mix) / max(moves, 1):.0f} %",
        f"{100 * sum(one.wrong for one in mix) / max(moves, 1):.1f} %",
        f"{100 * sum(one.kept_out for one in mix) / max(chances, 1):.0f} %",
        f"{np.nanmean([one.below for one in mix]):.2f}",
        f"{np.nanmean([one.last for one in sink]):.1f}",
        f"{np.mean([one.waited for one in rise]):.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
