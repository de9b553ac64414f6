"""Checks of the files named in a params file: folders, descriptions, rows, checkpoints.

`python -m config` looks at them, by the checks that the stages make. What lies on the Hub is not looked at, and no torch
is imported. A stage itself checks only what it reads. tasks/preflight/named_networks.py has the part about networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from config.methods import refusal
from data.description import load_spec
from data.records import DatasetSpec
from data.sources import check_first_rows
from errors import UserError
from models.checkpoints import incomplete_folders
from tasks.preflight.named_networks import EMBEDDED, network_problems, refused
from training.curriculum.agreement import disagreement

if TYPE_CHECKING:
    from config.parameters import Parameters


def problems(given: Parameters) -> list[str]:
    """List the errors that the first stages would raise, one line each."""
    found: list[str] = []
    specs = [spec for name in given.datasets if (spec := _dataset(given, name, found)) is not None]
    for spec in specs:
        reasons = (refusal(name, spec.name, spec.kind, spec.num_classes) for name in given.methods.names)
        found += [f"methods: {reason}" for reason in reasons if reason is not None]
    found += _launcher(given.launch)
    found += network_problems(given, specs)
    if given.methods.curriculum and (reason := disagreement(given.curriculum.update, given.curriculum.reward)):
        found.append(reason)
    return list(dict.fromkeys(found))


def notes(given: Parameters) -> list[str]:
    """List warnings: problems that not every run meets."""
    return [*_incomplete_checkpoints(given), *_foreign_words(given)]


def _incomplete_checkpoints(given: Parameters) -> list[str]:
    """Warn of folders that look like a checkpoint's and are skipped in favour of the Hub."""
    names = (given.split.tokenizer, given.teacher.checkpoint, given.student.checkpoint)
    folders = [place for name in names if name for place in incomplete_folders(name, given.models.folders)]
    return [
        f"models.search: {place} has no config.json, so it is no checkpoint and the Hub is asked; copy all files of the model"
        for place in dict.fromkeys(folders)
    ]


def _foreign_words(given: Parameters) -> list[str]:
    """Warn of the embedded benchmark's tokenizer for other texts."""
    if given.split.tokenizer != EMBEDDED:
        return []
    own = [name for name in given.datasets if not load_spec(Path(given.source.folder), given.benchmark, name).generate]
    if not own:
        return []
    return [
        f"split.tokenizer: {EMBEDDED} knows the words of the embedded benchmark only, and {own[0]} is other text; name a "
        "checkpoint that knows such texts"
    ]


def _dataset(given: Parameters, name: str, found: list[str]) -> DatasetSpec | None:
    """Read the description of a dataset; its problems, or those of its first rows, are added to `found`."""
    folder = Path(given.source.folder)
    try:
        spec = load_spec(folder, given.benchmark, name)
    except UserError as error:
        found.append(f"source.folder: {error}")
        return None
    found += refused(
        "source.folder", lambda: check_first_rows(spec, folder, search=[Path(path) for path in given.source.search])
    )
    if not (folder / name).is_dir():
        found.append(
            f"source.folder: {folder / name} is no folder, and DVC watches it for changes; make it (an empty one where "
            "source.search or the Hub has the rows)"
        )
    return spec


def _launcher(launch: str) -> Iterator[str]:
    """Report `python -m hardware NAME` without a file of that name."""
    words = launch.split()
    if words[:3] == ["python", "-m", "hardware"] and len(words) == 4:
        folder = Path(__file__).parents[2] / "hardware"
        if not (folder / f"{words[3]}.yaml").is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            yield f"launch: hardware/{words[3]}.yaml is not there; there are {known}"
