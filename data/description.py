"""`dataset.yaml` -> DatasetSpec: the short description of a dataset, with all its errors at once.

A description lies in the dataset's own folder; the datasets of the built-in benchmarks have theirs under
`data/catalog/<benchmark>/<dataset>/`, which serves wherever a folder of rows brings none. A user's own pair dataset:

    kind: pair
    text: [premise, hypothesis]
    label: label
    labels: [entailment, contradiction, neutral]
"""

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.problems import Problems, shown
from data.records import DatasetSpec, HubSource
from data.rendering import MARK_COLUMNS, Render, Truncate
from data.yaml_reading import read_yaml
from errors import UserError
from kinds import KINDS, Kind, Metric
from strict_yaml import Written

CATALOG = Path(__file__).parent / "catalog"
DESCRIPTION = "dataset.yaml"
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
"""The formats of raw rows, by the end of the file name."""

LISTED = 15
"""Number of known words that an error lists."""
LARGEST_LABEL = 1e15
"""Largest label of a regression: its squared errors stay far below the limit of a 32-bit float (3e38)."""

Column = Annotated[str, Field(min_length=1)]
Columns = Annotated[list[Column], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)]


def _as_written(name: object) -> object:
    """A number as written in the file. Raises ValueError for a YAML value that should have been quoted."""
    if isinstance(name, Written):
        return name.text
    if isinstance(name, bool | float) or name is None:
        raise ValueError("is not a string; quote it")
    return str(name) if isinstance(name, int) else name


Name = Annotated[str, BeforeValidator(_as_written), Field(min_length=1)]
"""A label's name; `labels: [1, 2, 3]` are names as well."""
Split = Literal["train", "dev", "dev_mismatched", "test"]


class HubDescription(BaseModel):
    """The `hub:` part of a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    path: str = Field(min_length=1)
    config: str | None = None
    revision: str | None = None
    splits: dict[Split, str] = {"train": "train", "dev": "validation", "test": "test"}


class Description(BaseModel):
    """The content of a `dataset.yaml`; only `kind`, `text` and, but for a choice, `labels` or `range` are required."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    kind: Kind
    text: Columns = Field(min_length=1, max_length=2)
    choices: Columns = []
    connective: Column | None = None
    label: Column = "label"
    labels: list[Name] = []
    true_label: Name | None = None
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    metrics: list[Metric] = []
    id: Column | None = None
    group: Column | None = None
    mark: Literal["wic", "wsc"] | None = None
    truncate: Truncate = "longest"
    files: dict[Split, Column] = {}
    hub: HubDescription | None = None
    generate: dict[str, object] | None = None


def load_spec(folder: Path | None, benchmark: str, dataset: str) -> DatasetSpec:
    """Read the description of `dataset` from `<folder>/<dataset>/`, else the built-in one of the benchmark.

    Raises UserError with every problem of the description, or with the known datasets where there is none.
    """
    own = folder / dataset / DESCRIPTION if folder is not None else None
    path = own if own is not None and own.is_file() else CATALOG / benchmark / dataset / DESCRIPTION
    if not path.is_file():
        raise UserError(_unknown_dataset(folder, benchmark, dataset))
    problems = Problems(dataset)
    described = read_description(read_yaml(path, dataset), str(path), problems)
    problems.raise_if_any()
    assert described is not None
    return to_spec(described, benchmark, dataset)


def read_description(raw: object, file: str, problems: Problems) -> Description | None:
    """Check one parsed `dataset.yaml`; problems go to `problems`, and None is returned if there are any."""
    if not isinstance(raw, dict):
        problems.add(file, None, f"must hold keys and values such as 'kind: pair', not {shown(raw)}")
        return None
    try:
        described = Description.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors():
            problems.add(file, None, _one_line(problem["loc"], problem["type"], problem["msg"], problem["input"]))
        return None
    disagreements = list(_disagreements(described))
    for message in disagreements:
        problems.add(file, None, message)
    return None if disagreements else described


def to_spec(described: Description, benchmark: str, dataset: str) -> DatasetSpec:
    """The record that the stages use."""
    hub, names = described.hub, described.labels or described.choices
    splits = hub.splits if hub else described.files
    return DatasetSpec(
        name=dataset,
        benchmark=benchmark,
        kind=described.kind,
        label_column=described.label,
        label_names=tuple(names),
        label_range=(described.range[0], described.range[1]) if described.range else None,
        metrics=tuple(described.metrics) or KINDS[described.kind].default_metrics,
        true_label=described.true_label,
        render=Render(
            text=described.text,
            choices=described.choices,
            connective=described.connective,
            mark=described.mark,
            truncate=described.truncate,
        ),
        id_column=described.id,
        group_column=described.group,
        dev_sets=("dev", "dev_mismatched") if "dev_mismatched" in splits else ("dev",),
        files={str(split): name for split, name in described.files.items()},
        hub=HubSource(hub.path, hub.config, hub.revision, {str(k): v for k, v in hub.splits.items()}) if hub else None,
        generate=described.generate,
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'labels'?" if a known word is close, else the list of known words."""
    names = sorted(known)
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {listed}"


def _one_line(location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    """Describe one problem found by pydantic: the key, its value, the allowed values."""
    key = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        keys = HubDescription.model_fields if location[0] == "hub" else Description.model_fields
        return f"unknown key '{key}'{nearest(str(location[-1]), keys)}"
    if kind == "missing":
        return f"key '{key}' is missing"
    message = message.removeprefix("Value error, ")
    return f"key '{key}' is {shown(value)}: {message[0].lower()}{message[1:]}"


def _disagreements(described: Description) -> Iterable[str]:
    """Find problems beyond pydantic: keys that require or exclude each other."""
    yield from _label_disagreements(described)
    kind, texts, mark = KINDS[described.kind], len(described.text), described.mark
    if texts not in kind.texts:
        yield f"key 'text' names {texts} columns; kind '{kind.name}' has {' or '.join(map(str, kind.texts))}"
    if kind.by_candidate != (len(described.choices) >= 2):
        yield f"key 'choices' is {shown(described.choices)}: kind 'choice' needs two or more columns, others none"
    if described.connective and not kind.by_candidate:
        yield f"key 'connective' is {shown(described.connective)}, but only kind 'choice' has one"
    if mark and (kind.by_candidate or texts != (2 if mark == "wic" else 1)):
        yield f"key 'mark' is '{mark}', which needs {'two texts' if mark == 'wic' else 'one text'} and no choices"
    columns = [*described.text, *described.choices, *(MARK_COLUMNS[mark] if mark else ()), described.label]
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"column '{column}' is named twice among text, choices and label"
    if described.truncate == "second" and texts + len(described.choices) < 2:
        yield "key 'truncate' is 'second', but there is only one text"
    inner = {f"files.{split}": name for split, name in described.files.items()}
    if described.hub:
        inner |= {f"hub.splits.{split}": name for split, name in described.hub.splits.items()}
        inner |= {"hub.config": described.hub.config or ""}
    for key, name in inner.items():
        # A name that is joined to the folder would leave it, or is none.
        if Path(name).is_absolute() or ".." in Path(name).parts or not name.isprintable():
            yield f"key '{key}' is {shown(name)}: must name something within the dataset's own folder"
    for split, name in described.files.items():
        if not name.endswith(SUFFIXES):
            yield f"key 'files.{split}' is {shown(name)}: must end with one of {', '.join(SUFFIXES)}"
    hub = described.hub
    if hub and not Path(hub.path).is_dir() and not re.fullmatch("[0-9a-f]{40}", hub.revision or ""):
        yield f"key 'hub.revision' is {shown(hub.revision)}: must be a commit (40 hex digits), so that rows never change"
    for part, splits in (("files", described.files), ("hub.splits", hub and hub.splits)):
        if splits and "train" not in splits:
            yield f"key '{part}' must name 'train'"


def _label_disagreements(described: Description) -> Iterable[str]:
    """`labels`, `range` and `metrics` against `kind`."""
    kind, names = KINDS[described.kind], described.labels
    if not kind.has_classes:
        if names:
            yield f"key 'labels' is for classes; kind '{kind.name}' has 'range: [lowest, highest]'"
        if described.range is None or not -math.inf < described.range[0] < described.range[1] < math.inf:
            yield f"key 'range' is {shown(described.range)}: kind '{kind.name}' needs [lowest, highest]"
        elif max(map(abs, described.range)) > LARGEST_LABEL:
            yield (
                f"key 'range' is {shown(described.range)}: squared errors leave what 32 bits hold; give labels in a unit "
                f"in which they stay below {LARGEST_LABEL:g}"
            )
    elif described.range is not None:
        yield f"key 'range' is {shown(described.range)}, but only kind 'regression' has one"
    # Compared as rows' labels are: without the white space around them, é as one character.
    different = {unicodedata.normalize("NFC", name.strip()) for name in names}
    if kind.has_named_classes and len(different) < max(2, len(names)):
        yield f"key 'labels' is {shown(names)}: needs two or more different names, in the order of their integers"
    if kind.by_candidate and names and len(different) != len(described.choices):
        yield f"key 'labels' is {shown(names)}: kind 'choice' has one different name for each of 'choices', or none"
    if described.true_label is not None and (len(names) != 2 or described.true_label not in names):
        yield f"key 'true_label' is {shown(described.true_label)}: must be one of two 'labels', the one that a row's true means"
    for metric in described.metrics:
        if metric not in kind.metrics:
            yield f"key 'metrics' names '{metric}'; kind '{kind.name}' has {', '.join(kind.metrics)}"
        elif metric == "f1" and len(names or described.choices) != 2:
            yield "key 'metrics' names 'f1', which is of two classes; for more there is 'macro_f1'"


def _unknown_dataset(folder: Path | None, benchmark: str, dataset: str) -> str:
    """The error for a dataset without a description."""
    folders = [*([] if folder is None else [folder]), CATALOG / benchmark]
    known = {path.parent.name for place in folders for path in place.glob(f"*/{DESCRIPTION}")}
    others = sorted((folder / dataset).glob("*.y*ml")) if folder is not None else []
    if others:
        return f"dataset '{dataset}': {others[0]} is not read; if it is the description, call it {DESCRIPTION}"
    if folder is not None and (folder / dataset).is_dir() and dataset not in known:
        return (
            f"dataset '{dataset}': {folder / dataset} holds no {DESCRIPTION}, which says what its columns are; "
            "docs/reference.md has all its keys"
        )
    hint = nearest(dataset, known) if known else f"; no dataset of benchmark '{benchmark}' is known"
    places = [str(place / dataset / DESCRIPTION).removeprefix(f"{CATALOG.parents[1]}/") for place in folders]
    looked_for = " and ".join(dict.fromkeys(places))
    return f"dataset '{dataset}' of benchmark '{benchmark}' is unknown{hint} (looked for {looked_for})"
