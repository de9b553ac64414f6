"""A quick search on selection: one training at several settings, the best of which is kept (`search`).

The learning rate is varied, and for a student the main weight of its method. The first point is what params.yaml says, so
a search can't end worse on selection than none. The others are fixed, and the same for all datasets and seeds: the points
of a sequence that fills the plane evenly, so that more of them add to the first ones. With `search.teacher_rates`
or `student_rates` the points are those rates, and nothing else is varied. Dev is never looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from config.methods import BY_NAME
from config.parameters import Parameters
from epoch_choice import SelectionRule, of_row
from records.base import Scores
from records.trained import SearchRecord
from tasks.runtime.stage import Stage
from training.supervised import Diverged, Target

RATES = 4.0
"""Learning rates range from a quarter to four times that of params.yaml."""
WEIGHTS = 100.0
"""Unbounded weights range from a hundredth to a hundred times theirs: a hidden term's scale is unknown."""
SHARES = (0.1, 0.9)
"""Range of weights that are shares."""
STEPS = (0.7548776662466927, 0.5698402909980532)
"""1/p and 1/p^2 of p^3 = p + 1: fractional parts of their multiples fill the unit square evenly."""
UNBOUNDED = ("beta", "weight")
"""Weights that are factors; dist's alpha is one, too, but between its bounds a share does."""

Trained = TypeVar("Trained")
Values = dict[str, float]


@dataclass(frozen=True)
class BestTrial(Generic[Trained]):
    """The best point, and the record of all."""

    trained: Trained
    record: SearchRecord | None = None
    """None without a search."""
    headline: str = ""


def searched(
    stage: Stage,
    section: Literal["teacher", "student"],
    target: Target,
    train: Callable[[Stage], Trained],
    curves_of: Callable[[Trained], Sequence[Mapping[str, float]]],
) -> BestTrial[Trained]:
    """Train at every point and keep the best on selection (ties: the earlier).

    Args:
        train: with the parameters of the stage that it is given.
        curves_of: its curves, with 1 under `best` in the row of the weights that were kept.

    Raises:
        Diverged: at every point.
    """
    count = stage.parameters.search.settings(section)
    if count == 1:
        return BestTrial(train(stage))
    choice = target.choice(stage.parameters.selected_by)
    tried = [_try(stage, section, number, train, curves_of) for number in range(1, count + 1)]
    best = _best(tried, choice)
    chosen = tried[best]
    assert chosen.trained is not None
    values = ", ".join(f"{name} {value:.3g}" for name, value in chosen.values.items())
    record = SearchRecord(points=count, chosen=best + 1, tried=tuple(one.record() for one in tried))
    return BestTrial(chosen.trained, record, f", best of {count} on selection ({values})")


@dataclass
class _Tried(Generic[Trained]):
    """One point."""

    values: Values
    trained: Trained | None = None
    scores: Mapping[str, float] | None = None
    diverged: Diverged | None = None

    def record(self) -> dict[str, float | Scores | str | None]:
        diverged = {} if self.diverged is None else {"diverged": str(self.diverged)}
        return {**self.values, "selection": None if self.scores is None else dict(self.scores), **diverged}


def _try(
    stage: Stage,
    section: Literal["teacher", "student"],
    number: int,
    train: Callable[[Stage], Trained],
    curves_of: Callable[[Trained], Sequence[Mapping[str, float]]],
) -> _Tried[Trained]:
    values = point(stage.parameters, section, stage.method, number)
    own = replace(stage, parameters=with_values(stage.parameters, values), point=number)
    try:
        trained = train(own)
    except Diverged as error:  # a rate of four times may be too much; the other points may be none the worse
        own.say(f"diverged, left out: {error}")
        return _Tried(values, diverged=error)
    kept = next(row for row in curves_of(trained) if row["best"])
    own.say(", ".join(f"{name} {value:.4g}" for name, value in (values | of_row(kept)).items()))
    return _Tried(values, trained, of_row(kept))


def _best(tried: Sequence[_Tried[Trained]], choice: SelectionRule) -> int:
    """Return the index of the best point; free the others' networks."""
    found: int | None = None
    for number, one in enumerate(tried):
        if one.scores is None:
            continue
        held = None if found is None else tried[found].scores
        if held is None or choice.is_better(one.scores, held):
            found = number
    if found is None:
        assert tried[0].diverged is not None
        raise tried[0].diverged
    return found


def point(given: Parameters, section: Literal["teacher", "student"], method: str, number: int) -> Values:
    """The values of a point, from 1, by their keys in params.yaml; the first has the file's values, or the first rate."""
    if (rates := given.search.rates(section)) is not None:
        return {f"{section}.learning_rate": rates[number - 1]}
    right, up = ((0.5 + (number - 1) * step) % 1 for step in STEPS)
    rate = getattr(given, section).learning_rate
    found = {f"{section}.learning_rate": min(1.0, rate * _factor(RATES, right))}
    weight = BY_NAME[method].main_weight if section == "student" else None
    if weight is None:
        return found
    own = float(getattr(getattr(given, method), weight))
    if weight in UNBOUNDED:
        own *= _factor(WEIGHTS, up)
    elif number > 1 and own:
        own = SHARES[0] + (SHARES[1] - SHARES[0]) * up
    return found | {f"{method}.{weight}": own}


def _factor(most: float, place: float) -> float:
    """Map 0 to 1 onto 1 / most to most, logarithmically."""
    return most ** (2 * place - 1)


def with_values(given: Parameters, values: Mapping[str, float]) -> Parameters:
    """The same parameters with other values, by `section.key`."""
    for name, value in values.items():
        section, key = name.split(".")
        changed = getattr(given, section).model_copy(update={key: value})
        given = given.model_copy(update={section: changed})
    return given
