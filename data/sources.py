"""Sources of a dataset's rows, in this order and no other:

1. files in the dataset's own folder; 2. the embedded generator, where the description has `generate`; 3. folders of
the config (`source.search`): rows as in 1, or a copy of the Hub's repository; 4. the Hub at the pinned revision.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from data.checks import RawTable, check_table
from data.description import DESCRIPTION, SUFFIXES
from data.file_formats import SAVE_AS_CSV, unread_format
from data.hub import load_from_hub
from data.problems import Problems, shown
from data.raw_files import read_raw
from data.records import DatasetSpec, SourceRows
from data.row_table import RowTable
from errors import UserError

DEFAULT_NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "validation_matched"),
    "dev_mismatched": ("dev_mismatched", "validation_mismatched"),
    "test": ("test", "test_matched"),
}
"""Split -> default file names, used if the description gives none."""

DEV_LIKE = tuple(f"{name}." for name in ("dev", "val", "valid", "validation", "validation_matched", "eval"))
"""Name prefixes by which people mean a dev set."""

DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$")
"""Path suffix of files in DVC's cache: with `cache.type symlink` data are links to them."""


def read_rows(
    spec: DatasetSpec, folder: Path | None, *, search: Sequence[Path] = (), hub_cache: Path | None = None
) -> SourceRows:
    """Read and check all rows of a dataset; `folder` holds one folder per dataset.

    Raises UserError with up to 20 problems, or saying which settings to change where no rows can be found.
    """
    problems, refused = Problems(spec.name), Problems(spec.name)
    tables, origin = _find(spec, folder, search, hub_cache)
    rows: dict[str, RowTable] = {}
    for split in dict.fromkeys(table.split for table in tables):
        files = [check_table(spec, table, refused) for table in tables if table.split == split]
        rows[split] = RowTable.of(spec, chain.from_iterable(files))
    for table in tables:
        problems.absorb(table.unread)
    problems.absorb(refused)
    problems.raise_if_any()
    found = tuple(name for name in spec.dev_sets if name in rows)
    if spec.hub and "dev" not in rows:
        raise UserError(
            f"dataset {spec.name}: {origin} holds train rows but no dev rows, and this dataset has an "
            f"official dev set; add the file ({_expected(spec, 'dev')})"
        )
    return SourceRows(replace(spec, dev_sets=found or ("dev",)), rows, origin)


def check_first_rows(spec: DatasetSpec, folder: Path, *, search: Sequence[Path] = (), rows: int = 20) -> None:
    """Raise the UserError that `read_rows` would, as far as the first rows of every file show it.

    The Hub is not asked.
    """
    problems = Problems(spec.name)
    for split, path in _find_files(spec, folder, search)[0]:
        unread = Problems("")
        table = RawTable(f"{path} (its first {rows} rows)", split, islice(read_raw(path, unread), rows), unread)
        deque(check_table(spec, table, problems), maxlen=0)
        problems.absorb(unread)
    problems.raise_if_any()


def _find(
    spec: DatasetSpec, folder: Path | None, search: Sequence[Path], hub_cache: Path | None
) -> tuple[list[RawTable], str]:
    """The raw rows of the first source that has any, and the name of that source."""
    files, place = _find_files(spec, folder, search)
    if files:
        return [_table(split, path) for split, path in files], f"folder {place}"
    if spec.generate:
        return _generated(spec, spec.generate), "the embedded generator"
    assert spec.hub is not None
    return load_from_hub(spec, spec.hub, hub_cache), f"the Hub, {spec.hub.path} at {spec.hub.revision}"


def _find_files(
    spec: DatasetSpec, folder: Path | None, search: Sequence[Path]
) -> tuple[list[tuple[str, Path]], Path | None]:
    """(split, file) pairs of the first source with files, and its name; ([], None): the generator or the Hub."""
    own = folder / spec.name if folder is not None else None
    places = [own] if own is not None else []
    if not spec.generate:
        places += [place for root in search for place in _places(spec, root)]
    for place in places:
        files = _files_in(spec, place)
        if files:
            return files, place
        if place == own and place.is_dir():
            _refuse_unread_train(spec, place)
    if spec.generate or spec.hub:
        return [], None
    looked = ", ".join(str(place) for place in places) or "nowhere: no folder is set"
    raise UserError(
        f"dataset {spec.name}: no rows found (looked in {looked}); expected {_expected(spec, 'train')}. "
        f"Set source.folder to the folder that holds {spec.name}/, or add one to source.search"
    )


def _refuse_unread_train(spec: DatasetSpec, place: Path) -> None:
    """Raise UserError for unread files in the dataset's folder if it holds no readable train file."""
    found = [path for path in sorted(place.iterdir()) if path.is_file() and path.name != DESCRIPTION]
    meant = [path for path in found if path.name.partition(".")[0].lower() in DEFAULT_NAMES["train"]]
    for path in meant or found:
        if what := unread_format(path.name):
            raise UserError(f"dataset {spec.name}: {path} is {what} ({_expected(spec, 'train')})")
        if path.name.lower().endswith(SUFFIXES):
            raise UserError(
                f"dataset {spec.name}: {path} is not read under this name: call it train{''.join(path.suffixes).lower()}, or name it "
                f"under 'files:' in {DESCRIPTION} (train: {path.name})"
            )
    if meant:
        raise UserError(
            f"dataset {spec.name}: {meant[0]} has a format that is not supported: {SAVE_AS_CSV} ({_expected(spec, 'train')})"
        )


def _places(spec: DatasetSpec, root: Path) -> list[Path]:
    """Candidate folders of the rows under a search folder, the Hub's layouts last."""
    places = [root / spec.name, root / spec.benchmark / spec.name]
    if spec.hub:
        config, owner_name = spec.hub.config or ".", Path(spec.hub.path)
        cached = f"datasets--{spec.hub.path.replace('/', '--')}/snapshots/{spec.hub.revision}"
        roots = [owner_name, owner_name.name, "", cached, f"hub/{cached}"]
        places += [root / part / config for part in roots]
    return places


def _files_in(spec: DatasetSpec, place: Path) -> list[tuple[str, Path]]:
    """(split, file) of every file with rows in one folder; none if the folder holds no train file."""
    if not place.is_dir():
        return []
    if spec.files and any((place / name).is_file() for name in spec.files.values()):
        absent = [str(place / name) for name in spec.files.values() if not (place / name).is_file()]
        if absent:
            raise UserError(f"dataset {spec.name}: {DESCRIPTION} names missing files: {', '.join(absent)}")
        return _within(spec, place, [(split, place / name) for split, name in spec.files.items()])
    found = [(split, path) for split in DEFAULT_NAMES for path in _named(spec, place, split)]
    if found and found[0][0] != "train":
        raise UserError(
            f"dataset {spec.name}: {place} holds {found[0][1].name} but no train file; expected a file "
            f"{_expected(spec, 'train')}"
        )
    if found and not any(split == "dev" for split, _ in found):
        _refuse_unread_dev(spec, place)
    return _within(spec, place, found)


def _refuse_unread_dev(spec: DatasetSpec, place: Path) -> None:
    """Raise UserError for a file that looks like an unread dev set: without one, train rows would be held out."""
    for path in sorted(place.iterdir()):
        if path.is_file() and path.name.lower().startswith(DEV_LIKE):
            what = unread_format(path.name)
            raise UserError(
                f"dataset {spec.name}: {path} is not read{f' ({what})' if what else ''}, and without dev rows some of train "
                f"would be held out in their place; if it is the dev set, call it dev with {', '.join(SUFFIXES)} (and save it so), else name the files "
                f"that are meant under 'files:' in {DESCRIPTION}"
            )


def _within(spec: DatasetSpec, place: Path, files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Return the files unchanged. Raises UserError for a link out of their folder, except into DVC's cache."""
    for _, path in files:
        real = path.resolve()
        if not real.is_relative_to(place.resolve()) and not DVC_CACHE.search(real.as_posix()):
            raise UserError(
                f"dataset {spec.name}: {path} is a link that leads out of its folder (to {shown(str(real), 120)}); copy the file, "
                "or set source.folder to the folder that holds it"
            )
    return files


def _named(spec: DatasetSpec, place: Path, split: str) -> list[Path]:
    """The file of a split by its default names, or the Hub's numbered Parquet files of it."""
    names = DEFAULT_NAMES[split]
    found = [place / f"{name}{end}" for name in names for end in SUFFIXES if (place / f"{name}{end}").is_file()]
    if len(found) > 1:
        raise UserError(
            f"dataset {spec.name}: {' and '.join(map(str, found))} both hold '{split}'; remove one, or "
            f"name the right one under 'files:' in {DESCRIPTION}"
        )
    hub_name = spec.hub.splits.get(split) if spec.hub else None
    if not found and hub_name:
        found = sorted(place.glob(f"{hub_name}-?????-of-?????.parquet")) or sorted(place.glob(f"{hub_name}/*.parquet"))
    return found


def _table(split: str, path: Path) -> RawTable:
    """A file's rows, read as they are asked for."""
    unread = Problems("")
    return RawTable(str(path), split, read_raw(path, unread), unread)


def _generated(spec: DatasetSpec, parameters: dict[str, object]) -> list[RawTable]:
    """Rows from the embedded generator."""
    from data import quickstart  # only here: nothing else needs the generator

    splits = quickstart.generate(spec.name, parameters)
    return [RawTable(f"generated {name}", name, enumerate(rows, start=1)) for name, rows in splits.items()]


def _expected(spec: DatasetSpec, split: str) -> str:
    """The accepted file names of a split."""
    if split in spec.files:
        return spec.files[split]
    return " or ".join(DEFAULT_NAMES[split]) + f" with {', '.join(SUFFIXES)}"
