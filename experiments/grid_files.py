"""profiles/grids/*.yaml: the papers' grids, and points drawn from them."""

import itertools
import random
from dataclasses import dataclass
from pathlib import Path

import yaml

from strict_yaml import StrictLoader

Value = bool | int | float | str | None
KEYS = ("source", "methods", "values")


@dataclass(frozen=True)
class GridFile:
    """A grid: where it is printed, the methods of params.yaml that its experiments have, and values by key."""

    name: str
    source: str
    methods: tuple[str, ...]
    """The last one is the method that the grid belongs to."""
    values: dict[str, tuple[Value, ...]]

    @property
    def size(self) -> int:
        """Number of its points."""
        count = 1
        for values in self.values.values():
            count *= len(values)
        return count


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid; its name does not depend on how many points are drawn."""

    name: str
    values: dict[str, Value]


def read_grid(path: Path) -> GridFile:
    """Read the grid in a file. Raises ValueError with file and key if it can't be used."""
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, Loader=StrictLoader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; the papers' grids are in profiles/grids") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(content, dict) or sorted(content) != sorted(KEYS):
        raise ValueError(f"{path}: must have the keys {', '.join(KEYS)} and no other")
    for key, values in content["values"].items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"{path}: values.{key} must be a list with a value or more, found {values!r}")
    lists = {str(key): tuple(values) for key, values in content["values"].items()}
    return GridFile(path.stem, str(content["source"]), tuple(content["methods"]), lists)


def draw_points(grid: GridFile, count: int | None, seed: int) -> list[GridPoint]:
    """All points, or `count` drawn by a seed; a larger count extends a smaller one.

    Raises ValueError if the grid has fewer.
    """
    combinations = list(itertools.product(*grid.values.values()))
    if count is not None and not 1 <= count <= len(combinations):
        raise ValueError(f"--points {count}: the grid {grid.name} has {len(combinations)} points; name 1 to that many")
    order = list(range(len(combinations)))
    if count is not None:
        random.Random(f"{grid.name} {seed}").shuffle(order)  # noqa: S311 (not for secrets)
        order = sorted(order[:count])
    return [
        GridPoint(f"{grid.name}-{number:03d}", dict(zip(grid.values, combinations[number], strict=True)))
        for number in order
    ]
