"""Rows of the decoy experiment: a target with a share of its rows, datasets to choose from, one with its labels shuffled.

GLUE's own files are read from a folder (docs/how-to.md says which), those of a share are written beside one another as the
source stage reads them.
"""

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atomic_files import whole_file
from data.description import CATALOG, DESCRIPTION
from errors import UserError
from seeds import numpy_generator

OTHERS = ("mnli", "qnli", "mrpc", "stsb", "sst2")
SHUFFLED = "sst2"
"""The dataset whose rows, other ones than those of its own action, are the decoy's."""
DECOY = "decoy"
MOST = 10_000
"""Train rows of an action's dataset: QNLI's and MNLI's files at hand have no more."""
DEV = ("validation", "validation_matched", "dev")
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class DecoyRows:
    """GLUE's rows in a folder, and what is made of them; draws go by `seed` and the dataset's name."""

    glue: Path
    target: str
    seed: int = 0
    most: int = MOST

    @property
    def datasets(self) -> list[str]:
        """The target first, then the actions beside it."""
        return [self.target, *(name for name in OTHERS if name != self.target), DECOY]

    def write(self, folder: Path, share: float) -> None:
        """Write all datasets, the target with that share of its train rows; nothing where they are there already."""
        if folder.exists():
            return
        aside = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        for name in self.datasets:
            source = SHUFFLED if name == DECOY else name
            (aside / name).mkdir(parents=True)
            shutil.copyfile(CATALOG / "glue" / source / DESCRIPTION, aside / name / DESCRIPTION)
            _write(aside / name / "train.jsonl", self._train(name, share))
            _write(aside / name / "dev.jsonl", self._shuffled(self._read(source, DEV), "dev", name))
        aside.rename(folder)

    def _train(self, name: str, share: float) -> Rows:
        """The train rows of one dataset, in the order of its file."""
        if name == self.target:
            rows = self._read(name, ("train",))
            return self._drawn(rows, name, range(round(share * len(rows))))
        rows = self._read(SHUFFLED if name == DECOY else name, ("train",))
        if name not in (SHUFFLED, DECOY):
            return self._drawn(rows, name, range(min(self.most, len(rows))))
        # Half of the rows at most, so that no text has its label in one dataset and another's in the other.
        count = min(self.most, len(rows) // 2)
        places = range(count) if name == SHUFFLED else range(count, 2 * count)
        return self._shuffled(self._drawn(rows, SHUFFLED, places), "train", name)

    def _drawn(self, rows: Rows, name: str, places: range) -> Rows:
        """The rows at some places of a random order that is the same for every share: a small one is part of a large one."""
        order = numpy_generator(self.seed, "rows of", name).permutation(len(rows))
        return [rows[index] for index in np.sort(order[places.start : places.stop])]

    def _shuffled(self, rows: Rows, split: str, name: str) -> Rows:
        """The decoy's rows with their labels shuffled; any other dataset's as they are."""
        if name != DECOY:
            return rows
        order = numpy_generator(self.seed, "labels of the decoy", split).permutation(len(rows))
        return [{**row, "label": rows[other]["label"]} for row, other in zip(rows, order, strict=True)]

    def _read(self, name: str, splits: Sequence[str]) -> Rows:
        """The rows of the first file that there is."""
        paths = [self.glue / name / f"{split}{ending}" for split in splits for ending in (".jsonl", ".jsonl.gz")]
        found = next((path for path in paths if path.is_file()), None)
        if found is None:
            raise UserError(
                f"--decoy {self.glue}: {name} has no rows there (looked for {paths[0].relative_to(self.glue)}); name a folder "
                "of GLUE's datasets, a sub-folder each"
            )
        opened = gzip.open if found.suffix == ".gz" else open
        with opened(found, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with whole_file(path) as file:
        file.write("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())
