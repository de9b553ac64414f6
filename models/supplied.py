"""A teacher that somebody else trained: its labels checked against the dataset's before it is believed."""

import re
from collections.abc import Mapping
from pathlib import Path

from models.checkpoints import model_type_of
from models.classifier import Classifier
from models.errors import ModelError
from models.families import family_named
from models.heads import HeadSpec
from models.initialise import Start
from models.json_files import read_json
from models.loading import load_whole

PLACEHOLDER = re.compile(r"label_\d+")


def load_supplied(folder: Path, spec: HeadSpec, *, attention: str = "sdpa") -> Start:
    """A stock fine-tuned folder as this dataset's network, with its own head.

    The label map in config.json must name the dataset's labels in the dataset's order, in any case;
    transformers' placeholders (LABEL_0, ...) pass with a note if their number agrees. Choice and regression
    need one output. Raises ModelError with both maps where they disagree, or if the head is missing.
    """
    family_named(model_type_of(folder), str(folder / "config.json"))
    notes = check_labels(folder, spec)
    return Start(Classifier(load_whole(folder, spec, attention=attention), spec), notes)


def check_labels(folder: Path, spec: HeadSpec) -> list[str]:
    """Compare the folder's label map with the dataset's; sentences to show, ModelError if they disagree."""
    labels = _label_map(folder)
    if len(labels) != spec.num_outputs:
        raise ModelError(
            f"{folder / 'config.json'}: {len(labels)} outputs {labels}, but dataset {spec.dataset!r} "
            f"({spec.kind}) needs {spec.num_outputs} {list(spec.label_names)}: trained for something else"
        )
    if spec.num_outputs == 1:
        return []
    theirs = [name.strip().lower() for name in labels]
    ours = [name.strip().lower() for name in spec.label_names]
    if theirs == ours:
        return []
    if all(PLACEHOLDER.fullmatch(name) for name in theirs):
        return [
            f"{folder}: the labels have no names ({', '.join(labels)}); taken to be "
            f"{', '.join(spec.label_names)} in this order, which nothing can check"
        ]
    raise ModelError(
        f"{folder / 'config.json'}: label map {dict(enumerate(labels))} disagrees with that of dataset "
        f"{spec.dataset!r}, {dict(enumerate(spec.label_names))}: correct id2label there if only names differ"
    )


def _label_map(folder: Path) -> list[str]:
    """Label names by number; transformers' own default is two placeholders."""
    config = read_json(folder / "config.json")
    mapping = config.get("id2label")
    if not isinstance(mapping, Mapping):
        return ["LABEL_0", "LABEL_1"]
    by_number = {str(key): str(name) for key, name in mapping.items()}
    numbers = [str(number) for number in range(len(by_number))]
    if set(by_number) != set(numbers):
        raise ModelError(f"{folder / 'config.json'}: id2label has keys {sorted(by_number)}, needs 0, 1, ...")
    return [by_number[number] for number in numbers]
