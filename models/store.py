"""A network on disk: a stock Hugging Face folder of its dataset, and our own files beside it.

config.json, model.safetensors, tokenizer files: the stock model, for AutoModelForSequenceClassification.
heads.safetensors, projection.safetensors: heads of other datasets, the map to the teacher's width (if any).
distilflow.json: dataset, kind, label names, fingerprint of the tokenizer.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from errors import UserError
from kinds import KINDS, kind_named
from models.classifier import Classifier
from models.folders import whole_folder
from models.heads import HeadSpec
from models.json_files import read_json, write_json
from models.loading import load_whole, quiet_transformers
from models.tokenizer import copy_tokenizer

FORMAT = 1
CARD, HEADS, PROJECTION = "distilflow.json", "heads.safetensors", "projection.safetensors"


@dataclass(frozen=True)
class StoredModel:
    """The content of distilflow.json in a model folder."""

    spec: HeadSpec
    tokenizer_fingerprint: str


def save_model(
    folder: Path,
    classifier: Classifier,
    *,
    tokenizer_folder: Path | None = None,
    tokenizer_fingerprint: str = "",
) -> None:
    """Write the folder, whole or not at all; the tokenizer's files are copied from `tokenizer_folder`.

    Raises OSError or UserError (disk full, say); a folder of that name is then left as it was.
    """
    with whole_folder(folder) as aside:
        if tokenizer_folder is not None:
            copy_tokenizer(tokenizer_folder, aside)
        try:
            with quiet_transformers():
                classifier.export().save_pretrained(aside)
            extra = extra_heads(classifier)
            if extra:
                save_file(extra, aside / HEADS)
            if classifier.projection is not None:
                save_file(_contiguous(classifier.projection), aside / PROJECTION)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))  # a full disk, say: what Python's own writers raise
            if number:
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(folder)) from error
            raise UserError(f"{folder}: weights cannot be written ({error})") from error
        spec = classifier.spec
        card = {"format": FORMAT, "dataset": spec.dataset, "kind": spec.kind, "label_names": list(spec.label_names)}
        write_json(aside / CARD, card | {"tokenizer_fingerprint": tokenizer_fingerprint})


def load_model(folder: Path, *, attention: str = "sdpa") -> Classifier:
    """Load the network of a folder written by `save_model`: weights, heads and projection.

    Raises UserError, naming the file, if something is missing, cut short, or of another format.
    """
    spec = read_stored(folder).spec
    classifier = Classifier(load_whole(folder, spec, attention=attention), spec)
    tensors = _read(folder / HEADS) if (folder / HEADS).is_file() else {}
    for dataset in sorted({name.rpartition(".")[0] for name in tensors}):
        head = classifier.add_head(dataset, tensors[f"{dataset}.weight"].shape[0], seed=0)
        _fill(head, tensors, f"{dataset}.", folder / HEADS)
    if (folder / PROJECTION).is_file():
        weights = _read(folder / PROJECTION)
        _fill(classifier.add_projection(weights["weight"].shape[0], seed=0), weights, "", folder / PROJECTION)
    return classifier


def read_stored(folder: Path) -> StoredModel:
    """The content of distilflow.json. Raises UserError if the folder is not ours or of a newer format."""
    if not (folder / CARD).is_file():
        raise UserError(f"{folder}: no {CARD}; a model trained elsewhere is loaded as a supplied teacher")
    card = read_json(folder / CARD)
    if card.get("format") != FORMAT:
        raise UserError(f"{folder / CARD}: format {card.get('format')!r}, this version reads {FORMAT}")
    kind, names = card.get("kind"), card.get("label_names")
    if kind not in KINDS or not isinstance(names, list):
        raise UserError(f"{folder / CARD}: kind {kind!r}, label_names {names!r}; the file is damaged")
    spec = HeadSpec(str(card.get("dataset")), kind_named(kind), tuple(str(name) for name in names))
    return StoredModel(spec, str(card.get("tokenizer_fingerprint", "")))


def extra_heads(classifier: Classifier) -> dict[str, Tensor]:
    """Weights of the heads of other datasets, by `dataset.weight` and `dataset.bias`."""
    return {
        f"{dataset}.{name}": tensor
        for dataset in classifier.heads
        if dataset != classifier.dataset
        for name, tensor in _contiguous(classifier.head_of(dataset)).items()
    }


def _contiguous(layer: nn.Linear) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in layer.state_dict().items()}


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: corrupt or cut short ({error}); write it again") from error


def _fill(layer: nn.Linear, tensors: dict[str, Tensor], prefix: str, file: Path) -> None:
    for name, parameter in layer.named_parameters():
        stored = tensors.get(prefix + name)
        if stored is None or stored.shape != parameter.shape:
            raise UserError(f"{file}: {prefix + name} is missing or not of shape {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(stored)
