"""Refuse splits that lack a class, with the reason and a way out that works."""

from collections.abc import Mapping, Sequence

import numpy as np

from data.records import DatasetSpec
from data.row_table import RowTable
from data.units import input_keys, make_units
from errors import UserError

SIZE_KEYS = {
    "quiz": "split.quiz",
    "selection": "split.selection_fraction (and split.selection_maximum)",
    "dev": "split.dev_fraction",
}
"""The keys that set the sizes of the splits."""
LEAVE_OUT = "leave the class out (its rows, and its name under `labels`)"


def check_classes(
    spec: DatasetSpec, pool: RowTable, rows: Mapping[str, RowTable], parted: Sequence[str], dropped: int
) -> None:
    """Raise UserError unless every split holds every class; a regression's splits need at least one row.

    Args:
        pool: the rows of the train file, without those that were dropped.
        rows: of every split.
        parted: the splits that the train file was parted into.
        dropped: train rows left out because dev holds their inputs.
    """
    for split, members in rows.items():
        lacking = _lacking(spec, members)
        if lacking is None:
            continue
        if split not in parted:
            raise UserError(_incomplete_file(spec, split, len(members), lacking))
        raise UserError(_incomplete_part(spec, pool, split, lacking, parted, dropped))


def no_rows_left(spec: DatasetSpec, given: int, dropped: int) -> str:
    """The error for an empty train split."""
    if not dropped:
        return f"dataset {spec.name}: no train rows are left to split ({given} given, and dev was held out of them): add rows"
    return (
        f"dataset {spec.name}: no train rows are left to split: all {dropped} were dropped, because dev holds the same "
        "inputs, and a score on rows that were trained on says nothing. Give dev rows that train does not hold, or remove "
        "the dev file: split.dev_fraction of train is then held out"
    )


def _lacking(spec: DatasetSpec, members: RowTable) -> list[int] | None:
    """The classes that a split lacks, [] for a regression without rows; None where nothing is lacking."""
    present = set(members.labels.tolist())
    lacking = [label for label in range(len(spec.label_names)) if label not in present]
    return lacking if lacking or not len(members) else None


def _incomplete_file(spec: DatasetSpec, split: str, rows: int, lacking: Sequence[int]) -> str:
    names = ", ".join(spec.label_names[label] for label in lacking)
    what = f"no row of {names}; every split needs every class" if names else "no row"
    return (
        f"dataset {spec.name}: split '{split}' of {rows} rows holds {what}: add such rows to its file, or remove the file "
        f"(split.dev_fraction of train is then held out){f', or {LEAVE_OUT}' if names else ''}"
    )


def _incomplete_part(
    spec: DatasetSpec, pool: RowTable, split: str, lacking: Sequence[int], parted: Sequence[str], dropped: int
) -> str:
    """The error for a split that lacks classes."""
    names = [spec.label_names[label] for label in lacking]
    units = make_units(pool, input_keys(pool), "")
    unit_of = np.empty(len(pool), np.int64)
    unit_of[units.rows] = np.repeat(np.arange(len(units)), units.sizes)
    members = [np.flatnonzero(pool.labels == label) for label in lacking] or [np.arange(len(pool))]
    inside = [np.unique(unit_of[own]) for own in members]
    scarce = [place for place, own in enumerate(inside) if len(own) < len(parted)]
    gone = f" ({dropped} more train rows were dropped, because dev holds their inputs)" if dropped else ""
    if scarce:
        counted = [_counted(names[place] if names else "", len(members[place]), len(inside[place])) for place in scarce]
        most = min(len(inside[place]) for place in scarce)
        return f"dataset {spec.name}: {', '.join(counted)}{gone}; {_needed(parted, bool(names), most)}"
    start = f"dataset {spec.name}: split '{split}' holds no row{f' of {names[0]}' if names else ''}"
    if split == "train":
        keys = "; ".join(SIZE_KEYS[part] for part in parted if part != "train")
        return f"{start}: the other splits take them all{gone}; lower {keys}"
    own = inside[0]
    leading = own[units.strata[own] == lacking[0]] if names else own
    if len(leading) < len(parted):
        return (
            f"{start}: its {len(members[0])} rows share inputs or groups with more rows of other classes, and such rows "
            f"stay together{gone}; correct labels that contradict each other, or make the groups smaller, or {LEAVE_OUT}"
        )
    return (
        f"{start}: rows with one input or group stay together, here {int(units.sizes[leading].min())} at least, which is "
        f"too many for its share{gone}; raise {SIZE_KEYS[split]}, or make the groups smaller"
    )


def _counted(name: str, rows: int, different: int) -> str:
    """Row counts of a class (or of everything), in total and in independent units."""
    owner = f"class '{name}' has" if name else "there are"
    said = f"{owner} {rows} train row{'s' * (rows != 1)}"
    if different == rows:
        return said
    kinds = "one input or group" if different == 1 else f"{different} different inputs or groups"
    return f"{said}, but only {kinds} (white space and case make no difference)"


def _needed(parted: Sequence[str], classes: bool, most: int) -> str:
    """Describe how many rows the splits need, and the ways out; `most` is the number of distinct rows."""
    each = "a row of every class" if classes else "a row"
    ways = [f"Add rows{' of it' if classes else ''} that differ in input{' and group' if classes else ''}"]
    if "dev" in parted and most == len(parted) - 1:
        ways.append(f"give a dev file (then {most} are enough)")
    if classes:
        ways.append(LEAVE_OUT)
    return (
        f"{', '.join(parted[:-1])} and {parted[-1]} are parts of the train file, and each needs {each} with an input and "
        f"group of its own: {len(parted)} at least. {', or '.join(ways)}"
    )
