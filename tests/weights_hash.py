"""A fingerprint of a network's weights, the same for the network in memory and for its folder."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from models.checkpoints import weight_files
from models.classifier import Classifier
from models.store import HEADS, PROJECTION, extra_heads


def weights_hash(model: Classifier | Path) -> str:
    """sha256 (hex) over name, type, shape and bytes of every tensor, in the order of names."""
    entries = _in_memory(model) if isinstance(model, Classifier) else _in_folder(model)
    digest = hashlib.sha256()
    for name, tensor in entries:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(memoryview(data.numpy()))
    return digest.hexdigest()


def _in_memory(classifier: Classifier) -> Iterable[tuple[str, Tensor]]:
    tensors = {f"model/{name}": tensor for name, tensor in classifier.backbone.state_dict().items()}
    for name, tensor in classifier.head_of(classifier.dataset).state_dict().items():
        tensors[f"model/{classifier.family.final}.{name}"] = tensor
    tensors |= {f"heads/{name}": tensor for name, tensor in extra_heads(classifier).items()}
    if classifier.projection is not None:
        projection = classifier.projection.state_dict()
        tensors |= {f"projection/{name}": tensor for name, tensor in projection.items()}
    return sorted(tensors.items(), key=lambda entry: entry[0])


def _in_folder(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Tensor by tensor, so that a large model is never in memory as a whole."""
    files = [("model", file) for file in weight_files(folder)]
    files += [("heads", folder / HEADS), ("projection", folder / PROJECTION)]
    places: dict[str, tuple[Path, str]] = {}
    for group, file in files:
        if file.is_file():
            with safe_open(file, framework="pt") as tensors:
                places |= {f"{group}/{name}": (file, name) for name in tensors.keys()}  # noqa: SIM118
    for name, (file, key) in sorted(places.items()):
        with safe_open(file, framework="pt") as tensors:
            yield name, tensors.get_tensor(key)
