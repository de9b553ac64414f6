"""Loading of stock models from a checkpoint folder: silent, seeded, and refusing missing weights."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from errors import UserError
from models.checkpoints import model_type_of, weight_files
from models.families import Family, family_named
from models.heads import HeadSpec, head_name, new_linear
from models.json_files import read_json
from seeds import drawing_from


def load_with_new_head(
    folder: Path, spec: HeadSpec, *, seed: int, attention: str = "sdpa"
) -> tuple[PreTrainedModel, list[str]]:
    """Load a checkpoint as a sequence classifier with a new, seeded head in place of its own.

    Plain encoders and language models will do. The second value says in sentences which other weights were
    new (a missing pooler). Raises UserError if a weight of the backbone is missing or has another shape.
    """
    stock, family, missing, changed = _load(folder, spec, seed, attention)
    final = f"{family.final}."
    lost = {name for name in missing if not family.may_be_new(name)}
    lost |= {name for name in changed if not name.startswith(final)}
    if lost:
        raise UserError(f"{folder}: weights missing or of another shape: {_some(sorted(lost))}")
    head = stock.get_submodule(family.final)
    assert isinstance(head, torch.nn.Linear)
    std = float(getattr(stock.config, family.std_name))
    bias = head.bias is not None
    name = head_name(spec.dataset)
    fresh = new_linear(head.in_features, spec.num_outputs, std=std, bias=bias, seed=seed, name=name)
    stock.set_submodule(family.final, fresh)
    new = sorted({name.rpartition(".")[0] for name in missing} - {family.final})
    return stock, [f"{folder}: {layer} is not in the checkpoint, made anew" for layer in new]


def load_whole(folder: Path, spec: HeadSpec, *, attention: str = "sdpa") -> PreTrainedModel:
    """Load a fine-tuned classifier with its own head. Raises UserError if a weight is missing or of another shape."""
    stock, family, missing, changed = _load(folder, spec, 0, attention)
    if any(name.startswith(f"{family.final}.") for name in missing):
        raise UserError(f"{folder}: no weights of a fine-tuned classification layer ({family.final})")
    if missing or changed:
        raise UserError(f"{folder}: weights missing or of another shape: {_some(sorted(missing | changed))}")
    return stock


def _load(
    folder: Path, spec: HeadSpec, seed: int, attention: str
) -> tuple[PreTrainedModel, Family, set[str], set[str]]:
    """Model, family, names of missing weights, names of weights whose shape differs."""
    family = family_named(model_type_of(folder), str(folder / "config.json"))
    weight_files(folder)
    if read_json(folder / "config.json").get("quantization_config") is not None:
        raise UserError(
            f"{folder / 'config.json'}: has a quantization_config; quantised checkpoints are not read, save it dequantised"
        )
    try:
        with quiet_transformers(), drawing_from(seed, "weights"):
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            spec.write_to(config)
            stock, info = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation=family.attention(attention),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
            )
    # torch asserts that the padding id is one of the embeddings, and a configuration may ask for a package that is not there
    except (StrictDataclassError, SafetensorError, OSError, RuntimeError, ValueError, TypeError, AssertionError, ImportError) as error:  # fmt: skip
        raise UserError(f"{folder}: cannot be loaded ({' '.join(str(error).split())})") from error
    changed = {str(entry[0]) for entry in info["mismatched_keys"]}
    _check_read(folder, stock, family, [str(name) for name in info["unexpected_keys"]])
    return stock, family, set(info["missing_keys"]), changed


def _check_read(folder: Path, stock: PreTrainedModel, family: Family, unread: list[str]) -> None:
    """Raise UserError for unused layers, and for NaN or infinite weights."""
    layers = family.layers.partition(".")[2]  # a checkpoint may leave out the name of the backbone
    numbered = {name: re.search(rf"\b{re.escape(layers)}\.(\d+)\.", name) for name in unread}
    depth = stock.config.num_hidden_layers
    left = sorted(name for name, found in numbered.items() if found and int(found[1]) >= depth)
    if left:
        raise UserError(
            f"{folder}: config.json has {depth} layers, and the weights more ({_some(left)}): correct num_hidden_layers"
        )
    for name, weight in stock.named_parameters():
        if not torch.isfinite(weight).all():
            raise UserError(f"{folder}: {name} holds NaN or infinity; write or download the checkpoint again")


@contextmanager
def quiet_transformers() -> Generator[None]:
    """Silence transformers' loading reports and bars; the caller reports what matters."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _some(names: list[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")
