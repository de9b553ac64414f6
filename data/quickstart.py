"""The embedded benchmark `quickstart`: rows made offline by seeded code, so that a first run needs no download.

Standard library only. Train labels carry noise, dev labels do not: a model is judged by how well it sees through the
noise. A small student that learns from the noisy labels loses to its teacher, and the teacher's own answers are cleaner
than the labels: that is what distillation has to give here.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from data.quickstart_rows import (
    ANSWERS,
    CHOICES,
    STANDINGS,
    TOP_SCORE,
    Row,
    bargain_row,
    payment_row,
    standing_row,
    worth_row,
)
from data.quickstart_world import vocabulary
from errors import UserError

__all__ = ["generate", "vocabulary"]

MAKERS: dict[str, tuple[Callable[[random.Random], Row], tuple[str, ...]]] = {
    "standing": (standing_row, STANDINGS),
    "payment": (payment_row, ANSWERS),
    "worth": (worth_row, ()),
    "bargain": (bargain_row, CHOICES),
}
"""Dataset -> generator of one clean row, and its label names (none for a score)."""

MOST_ROWS = 100_000
"""Maximum rows of one split: the vocabulary is small, and no text is repeated."""


@dataclass(frozen=True)
class GeneratorParameters:
    """The `generate:` section of a description."""

    seed: int
    train_rows: int
    dev_rows: int
    label_noise: float


def generate(dataset: str, parameters: Mapping[str, object]) -> dict[str, list[dict[str, object]]]:
    """Generate the rows of one dataset: {train, dev}, each row with its columns, `label` and `id`; texts are unique.

    `parameters`: seed, train_rows, dev_rows and label_noise, a share: of the train labels that are replaced by another
    class (each by its own chance), or of the range as the standard deviation of a score's error. The same parameters give the
    same rows, and dev does not change with the size or noise of train. UserError if a name or value is unknown.
    """
    if dataset not in MAKERS:
        raise UserError(f"quickstart makes no dataset '{dataset}'; it makes: {', '.join(MAKERS)}")
    checked = _checked(dataset, parameters)
    make, labels = MAKERS[dataset]
    seen: set[tuple[object, ...]] = set()
    # Text seeds: Random hashes them with SHA-512, the same in every process. Dev first, so train works around it.
    dev = _rows(make, random.Random(f"{dataset} {checked.seed} dev"), checked.dev_rows, seen)
    train = _rows(make, random.Random(f"{dataset} {checked.seed} train"), checked.train_rows, seen)
    _add_noise(train, labels, checked.label_noise, random.Random(f"{dataset} {checked.seed} noise"))
    return {"train": _finished("train", train), "dev": _finished("dev", dev)}


def _rows(
    make: Callable[[random.Random], Row], rng: random.Random, count: int, seen: set[tuple[object, ...]]
) -> list[Row]:
    """Generate `count` rows whose texts are not in `seen`."""
    rows: list[Row] = []
    while len(rows) < count:
        row = make(rng)
        texts = tuple(value for column, value in row.items() if column != "label")
        if texts not in seen:
            seen.add(texts)
            rows.append(row)
    return rows


def _add_noise(rows: list[Row], labels: tuple[str, ...], share: float, rng: random.Random) -> None:
    """Replace labels in place. Every row draws the same numbers at any share, so more noise extends less noise."""
    for row in rows:
        label = row["label"]
        if isinstance(label, str):
            others = [name for name in labels if name != label]
            other, chance = rng.choice(others), rng.random()
            row["label"] = other if chance < share else label
        else:
            row["label"] = min(TOP_SCORE, max(0.0, label + share * TOP_SCORE * rng.gauss(0.0, 1.0)))


def _finished(split: str, rows: list[Row]) -> list[dict[str, object]]:
    """Add ids, and round scores: the last bits of a logarithm may differ between machines."""
    finished: list[dict[str, object]] = []
    for number, row in enumerate(rows):
        label = row["label"]
        tidy = label if isinstance(label, str) else round(label, 3)
        finished.append({"id": f"{split}-{number}", **row, "label": tidy})
    return finished


def _checked(dataset: str, given: Mapping[str, object]) -> GeneratorParameters:
    """Validate the parameters; one UserError lists all problems."""
    where = f"quickstart/{dataset}: generate"
    known = ("seed", "train_rows", "dev_rows", "label_noise")
    problems = [f"'{key}' is unknown; known: {', '.join(known)}" for key in given if key not in known]
    problems += [f"'{key}' is missing" for key in known if key not in given]
    seed = _whole(given, "seed", 0, 2**63 - 1, problems)
    train_rows = _whole(given, "train_rows", 1, MOST_ROWS, problems)
    dev_rows = _whole(given, "dev_rows", 1, MOST_ROWS, problems)
    noise = given.get("label_noise", 0.0)
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not (math.isfinite(noise) and 0 <= noise < 1):
        problems.append(f"'label_noise' is {noise!r}; must be a share from 0 to below 1")
        noise = 0.0
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}")
    return GeneratorParameters(seed, train_rows, dev_rows, float(noise))


def _whole(given: Mapping[str, object], key: str, low: int, high: int, problems: list[str]) -> int:
    """One whole number; a bad one is noted in `problems`."""
    value = given.get(key, low)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        problems.append(f"'{key}' is {value!r}; must be a whole number from {low} to {high}")
        return low
    return value
