"""Initial networks: from a checkpoint, some of its layers, a teacher's layers, or a configuration; supplied teachers."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification, PretrainedConfig

from errors import UserError
from models.checkpoints import model_type_of
from models.classifier import Classifier
from models.families import Family, check_head_sizes, family_named
from models.heads import HeadSpec
from models.label_map import check_labels
from models.layer_choice import choose_layers
from models.layers import keep_layers
from models.loading import load_whole, load_with_new_head
from seeds import drawing_from

ConfigValue = str | int | float | bool | Sequence[str] | None


@dataclass(frozen=True)
class Start:
    """A new network, and remarks for the user (newly drawn weights)."""

    classifier: Classifier
    notes: list[str] = field(default_factory=list)


def from_checkpoint(folder: Path, spec: HeadSpec, *, seed: int, attention: str = "sdpa") -> Start:
    """All layers of a checkpoint folder (see `checkpoints.fetch`) with a new, seeded head."""
    stock, notes = load_with_new_head(folder, spec, seed=seed, attention=attention)
    return Start(Classifier(stock, spec), notes)


def from_pretrained_layers(
    folder: Path, spec: HeadSpec, layers: int | Sequence[int], *, seed: int, attention: str = "sdpa"
) -> Start:
    """Some layers of the teacher's pre-trained checkpoint with a new, seeded head.

    layers: how many, spread evenly (6 -> 3 keeps 2, 4, 6), or their numbers from 1. Embeddings and the layer
    before the head are carried over. Raises UserError if there are not so many.
    """
    stock, notes = load_with_new_head(folder, spec, seed=seed, attention=attention)
    chosen = choose_layers(stock.config.num_hidden_layers, layers)
    return Start(Classifier(keep_layers(stock, chosen), spec), notes)


def from_teacher_layers(teacher: Classifier, layers: int | Sequence[int]) -> Start:
    """Some layers of the fine-tuned teacher, its embeddings, the layer before the head, and its own head."""
    chosen = choose_layers(teacher.num_layers, layers)
    return Start(Classifier(keep_layers(teacher.export(), chosen), teacher.spec))


def load_supplied(folder: Path, spec: HeadSpec, *, attention: str = "sdpa") -> Start:
    """A stock fine-tuned folder as this dataset's network, with its own head.

    The label map in config.json must name the dataset's labels in the dataset's order, in any case;
    transformers' placeholders (LABEL_0, ...) pass with a note if their number agrees. Choice and regression
    need one output. Raises UserError with both maps where they disagree, or if the head is missing.
    """
    family_named(model_type_of(folder), str(folder / "config.json"))
    notes = check_labels(folder, spec.dataset, spec.kind, spec.num_outputs, spec.label_names)
    return Start(Classifier(load_whole(folder, spec, attention=attention), spec), notes)


def from_config(
    config: Mapping[str, ConfigValue],
    spec: HeadSpec,
    *,
    seed: int,
    vocab_size: int | None = None,
    pad_token_id: int | None = None,
    attention: str = "sdpa",
) -> Start:
    """Random weights of a configuration: `model_type` and keys of that family's configuration.

    Sizes have BERT's names in every family (hidden_size, num_hidden_layers, num_attention_heads,
    intermediate_size); `vocab_size` and `pad_token_id`, the tokenizer's, fill in what it does not say. Raises UserError for an unknown
    family or key (with the nearest known one) and for sizes that do not fit together.
    """
    family = family_named(str(config.get("model_type")), "model configuration")
    check_head_sizes(config, "model configuration")
    given = {name: value for name, value in config.items() if name != "model_type"}
    from_tokenizer = {"vocab_size": vocab_size, "pad_token_id": pad_token_id}
    given = {name: value for name, value in from_tokenizer.items() if value is not None} | given
    try:
        stock_config = _stock_config(str(config["model_type"]), family, given)
        spec.write_to(stock_config)
        with drawing_from(seed, "weights"):
            stock = AutoModelForSequenceClassification.from_config(
                stock_config, attn_implementation=family.attention(attention)
            )
    except UserError:
        raise
    # transformers checks types by an error of its own and sizes by ValueError, torch the padding id by an assertion
    except (StrictDataclassError, ValueError, TypeError, ArithmeticError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"model configuration {dict(config)} cannot be built ({reason})") from error
    return Start(Classifier(stock, spec).eval())


def _stock_config(model_type: str, family: Family, given: Mapping[str, ConfigValue]) -> PretrainedConfig:
    kind = CONFIG_MAPPING[model_type]
    known = {*kind().to_dict(), *kind.attribute_map, *family.config_names, *family.more_keys}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see transformers' {kind.__name__}"
            raise UserError(f"model configuration: {family.name} has no key {name!r}; {hint}")
    return kind.from_dict({family.config_names.get(name, name): value for name, value in given.items()})
