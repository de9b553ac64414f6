"""A teacher that somebody else trained: its labels checked against the dataset's before it is believed."""

from pathlib import Path

from models.checkpoints import model_type_of
from models.classifier import Classifier
from models.families import family_named
from models.heads import HeadSpec
from models.initialise import Start
from models.label_map import check_labels
from models.loading import load_whole


def load_supplied(folder: Path, spec: HeadSpec, *, attention: str = "sdpa") -> Start:
    """A stock fine-tuned folder as this dataset's network, with its own head.

    The label map in config.json must name the dataset's labels in the dataset's order, in any case;
    transformers' placeholders (LABEL_0, ...) pass with a note if their number agrees. Choice and regression
    need one output. Raises UserError with both maps where they disagree, or if the head is missing.
    """
    family_named(model_type_of(folder), str(folder / "config.json"))
    notes = check_labels(folder, spec.dataset, spec.kind, spec.num_outputs, spec.label_names)
    return Start(Classifier(load_whole(folder, spec, attention=attention), spec), notes)
