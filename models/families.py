"""Differences between the five families of networks: names of their parts, and weights a checkpoint may lack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from errors import UserError

if TYPE_CHECKING:  # transformers brings torch along, and `python -m config` starts without
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Family:
    """Module paths of a stock sequence classifier of one family, as dotted names.

    final:     the last linear layer, whose input is the pooled representation.
    layers:    the stack of transformer layers.
    state:     the last HxH layer before the final one; its weight is the policy's state. None: there is none.
    last_token: classifies with the last non-padding token, having scored them all (OPT); else with the first.
    sdpa:      whether fused attention exists; without it, attention is eager.
    positions_after_padding: its positions start after its padding id (RoBERTa).
    std_name:  the configuration's name for the standard deviation of new weights.
    config_names: names of ours (BERT's) -> the family's, in a configuration.
    more_keys: keys of a configuration that the network reads although transformers' class has no such field.
    by_token:  modules of a layer behind which each token is worked on by itself, up to the layer's end; those that read
        more than one of the tokens come before. Empty: the layer has to run whole (OPT reads another token in each row).
    """

    name: str
    final: str
    layers: str
    state: str | None
    last_token: bool = False
    sdpa: bool = True
    positions_after_padding: bool = False
    std_name: str = "initializer_range"
    config_names: Mapping[str, str] = field(default_factory=dict)
    more_keys: tuple[str, ...] = ()
    by_token: tuple[str, ...] = ()

    def attention(self, wanted: str) -> str:
        """The attention implementation to use where `wanted` is "sdpa" or "eager"."""
        if wanted not in ("sdpa", "eager"):
            raise UserError(f"attention is {wanted!r}: allowed are 'sdpa' and 'eager'")
        return wanted if self.sdpa else "eager"

    def longest(self, positions: int, padding: int) -> int:
        """Maximum number of tokens, given the number of positions and the padding id."""
        return positions - padding - 1 if self.positions_after_padding else positions

    def check_scores(self) -> None:
        """Raise UserError if the family provides no attention scores."""
        if not self.sdpa:
            raise UserError(
                f"{self.name} gives no attention scores, because it has its own kind of attention; use another family"
            )

    def may_be_new(self, weight: str) -> bool:
        """Return whether a pre-trained checkpoint may lack this weight: the final layer and the one before it."""
        places = [self.final] + ([self.state] if self.state else [])
        return any(weight.startswith(f"{place}.") for place in places)


FAMILIES: dict[str, Family] = {
    "bert": Family("BERT", "classifier", "bert.encoder.layer", "bert.pooler.dense", by_token=("attention.output",)),
    "roberta": Family(
        "RoBERTa",
        "classifier.out_proj",
        "roberta.encoder.layer",
        "classifier.dense",
        positions_after_padding=True,
        by_token=("attention.output",),
    ),
    "distilbert": Family(
        "DistilBERT",
        "classifier",
        "distilbert.transformer.layer",
        "pre_classifier",
        config_names={
            "intermediate_size": "hidden_dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "hidden_size": "dim",
        },
        # The residual is added between the two: its first token has to be taken as well.
        by_token=("attention.out_lin", "sa_layer_norm"),
    ),
    "deberta-v2": Family(
        "DeBERTa-v2",
        "classifier",
        "deberta.encoder.layer",
        "pooler.dense",
        sdpa=False,
        more_keys=(
            "attention_head_size",
            "cls_dropout",
            "conv_act",
            "conv_groups",
            "conv_kernel_size",
            "embedding_size",
            "norm_rel_ebd",
            "pooler_hidden_size",
            "position_buckets",
            "share_att_key",
        ),
        by_token=("attention.output",),
    ),
    "opt": Family(
        "OPT",
        "score",
        "model.decoder.layers",
        None,
        last_token=True,
        std_name="init_std",
        config_names={"intermediate_size": "ffn_dim"},
    ),
}


def check_head_sizes(sizes: Mapping[str, object], where: str) -> None:
    """Raise UserError for a width not divisible by the heads; `sizes` by BERT's names, as far as given."""
    width, heads = sizes.get("hidden_size"), sizes.get("num_attention_heads")
    if isinstance(width, int) and isinstance(heads, int) and (heads < 1 or width % heads):
        raise UserError(
            f"{where}: hidden_size {width} is not a multiple of num_attention_heads {heads}; every head has an equal part"
        )


def family_named(model_type: str, where: str) -> Family:
    """The family of a `model_type` as in config.json; `where` names the file or key for the error."""
    if model_type not in FAMILIES:
        known = ", ".join(f"{key} ({family.name})" for key, family in FAMILIES.items())
        raise UserError(f"{where}: model_type {model_type!r} is not supported; supported are {known}")
    return FAMILIES[model_type]


def family_of(config: "PretrainedConfig") -> Family:
    """The family of a stock configuration."""
    return family_named(config.model_type, config.name_or_path or type(config).__name__)
