"""The label map of a supplied teacher, compared with a dataset's labels; no torch."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from errors import UserError
from models.json_files import read_json

PLACEHOLDER = re.compile(r"label_\d+")


def check_labels(folder: Path, dataset: str, kind: str, outputs: int, names: Sequence[str]) -> list[str]:
    """Compare the folder's label map with the dataset's; return remarks. Raises UserError if they disagree."""
    labels = _label_map(folder)
    if len(labels) != outputs:
        raise UserError(
            f"{folder / 'config.json'}: {len(labels)} outputs {labels}, but dataset {dataset!r} "
            f"({kind}) needs {outputs} {list(names)}: trained for something else"
        )
    if outputs == 1:
        return []
    theirs = [name.strip().lower() for name in labels]
    ours = [name.strip().lower() for name in names]
    if theirs == ours:
        return []
    if all(PLACEHOLDER.fullmatch(name) for name in theirs):
        return [
            f"{folder}: the labels have no names ({', '.join(labels)}); taken to be "
            f"{', '.join(names)} in this order, which nothing can check"
        ]
    raise UserError(
        f"{folder / 'config.json'}: label map {dict(enumerate(labels))} disagrees with that of dataset "
        f"{dataset!r}, {dict(enumerate(names))}: correct id2label there if only names differ"
    )


def _label_map(folder: Path) -> list[str]:
    """Label names by number; transformers' default is two placeholders."""
    config = read_json(folder / "config.json")
    mapping = config.get("id2label")
    if not isinstance(mapping, Mapping):
        return ["LABEL_0", "LABEL_1"]
    by_number = {str(key): str(name) for key, name in mapping.items()}
    numbers = [str(number) for number in range(len(by_number))]
    if set(by_number) != set(numbers):
        raise UserError(f"{folder / 'config.json'}: id2label has keys {sorted(by_number)}, needs 0, 1, ...")
    return [by_number[number] for number in numbers]
