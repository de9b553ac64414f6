"""Initial networks of teachers and students, from params.yaml."""

from pathlib import Path

from config.parameters import Parameters
from data.tokens import tokenizer_fingerprint
from models.checkpoints import fetch
from models.classifier import Classifier
from models.initialise import (
    Start,
    from_checkpoint,
    from_config,
    from_pretrained_layers,
    from_teacher_layers,
    load_supplied,
)
from models.tokenizer import check_same_tokenizer, load_tokenizer
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset

START = "start"
"""Purpose of the seed of new weights: shared by teacher, student and assistant of a dataset and seed."""


def start_teacher(stage: Stage, dataset: TokenisedDataset) -> Start:
    """The teacher before training; a supplied one as it is. Raises UserError if it doesn't fit."""
    given, seed = stage.parameters, stage.seed_of(START, of="teacher")
    if given.teacher.origin != "train":
        name = given.teacher.origin.replace("{dataset}", dataset.spec.name)
        folder = _checked_checkpoint(stage, name, dataset)
        start = load_supplied(folder, dataset.head, attention=given.models.attention)
    elif given.teacher.checkpoint is not None:
        folder = _checked_checkpoint(stage, given.teacher.checkpoint, dataset)
        start = from_checkpoint(folder, dataset.head, seed=seed, attention=given.models.attention)
    else:
        start = _random(given, given.teacher.config or {}, dataset, seed)
    return _fitting(start, dataset)


def start_student(stage: Stage, dataset: TokenisedDataset, teacher: Path) -> Start:
    """The student before training, by `student.init`.

    Args:
        teacher: the teacher's model folder.
    """
    given, seed = stage.parameters, stage.seed_of(START, of="student")
    init, layers, attention = given.student.init, given.student.layers, given.models.attention
    if init == "teacher_layers" and layers is not None:
        start = from_teacher_layers(dataset.load(teacher, attention=attention), layers)
    elif init == "pretrained_teacher_layers" and layers is not None:
        folder = _checked_checkpoint(stage, str(given.teacher.checkpoint), dataset)
        start = from_pretrained_layers(folder, dataset.head, layers, seed=seed, attention=attention)
    elif init == "checkpoint":
        folder = _checked_checkpoint(stage, str(given.student.checkpoint), dataset)
        start = from_checkpoint(folder, dataset.head, seed=seed, attention=attention)
    else:
        start = _random(given, given.student.config or {}, dataset, seed)
    return _fitting(start, dataset)


def start_assistant(stage: Stage, dataset: TokenisedDataset, teacher: Path) -> Start:
    """takd's assistant before training: layers of the teacher, like the student's, or a configuration.

    Where the student takes none, they are the fine-tuned teacher's.
    """
    given, seed = stage.parameters, stage.seed_of(START, of="assistant")
    layers, attention = given.takd.layers, given.models.attention
    if layers is None:
        return _fitting(_random(given, given.takd.config or {}, dataset, seed), dataset)
    if given.student.init == "pretrained_teacher_layers":
        folder = _checked_checkpoint(stage, str(given.teacher.checkpoint), dataset)
        start = from_pretrained_layers(folder, dataset.head, layers, seed=seed, attention=attention)
    else:
        start = from_teacher_layers(dataset.load(teacher, attention=attention), layers)
    return _fitting(start, dataset)


def _random(
    given: Parameters, config: dict[str, int | float | str | bool], dataset: TokenisedDataset, seed: int
) -> Start:
    return from_config(
        config,
        dataset.head,
        seed=seed,
        vocab_size=dataset.manifest.vocabulary,
        pad_token_id=dataset.pad_id,
        attention=given.models.attention,
    )


def _checked_checkpoint(stage: Stage, name: str, dataset: TokenisedDataset) -> Path:
    """The folder of a checkpoint, noted as an input, after comparing its tokenizer with the splits'."""
    folder = stage.read(fetch(name, stage.parameters.models.folders, stage.parameters.models.revision))
    own = tokenizer_fingerprint(load_tokenizer(str(folder)))
    check_same_tokenizer(dataset.manifest.tokenizer_fingerprint, own)
    return folder


def _fitting(start: Start, dataset: TokenisedDataset) -> Start:
    """The same network, after checking that it reads the dataset's tokens."""
    dataset.check(start.classifier)
    return start


def parameter_count(model: Classifier, dataset: str) -> int:
    """Number of parameters of the stock model of one dataset: backbone and its head."""
    backbone = sum(value.numel() for value in model.backbone.parameters())
    return backbone + sum(value.numel() for value in model.head_of(dataset).parameters())
