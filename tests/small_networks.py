"""Small random networks of all five families, and batches for them."""

import torch
from torch import Tensor

from models.classifier import Classifier
from models.heads import HeadSpec
from models.initialise import from_config

torch.set_num_threads(1)  # networks this small only wait for a second thread

FAMILY_NAMES = ("bert", "roberta", "distilbert", "deberta-v2", "opt")
RTE = HeadSpec("rte", "pair", ("entailment", "not_entailment"))
COPA = HeadSpec("copa", "choice", ("first", "second"))
STSB = HeadSpec("stsb", "regression")
VOCABULARY, PADDING = 60, 1


def small(
    family: str, spec: HeadSpec = RTE, *, layers: int = 3, hidden: int = 32, seed: int = 7, attention: str = "sdpa"
) -> Classifier:
    """A random network in evaluation mode; DeBERTa has the relative attention of the published models."""
    config: dict[str, str | int | bool | list[str]] = {
        "model_type": family,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
    }
    if family == "deberta-v2":
        config |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        config |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3, "conv_act": "gelu"}
    start = from_config(config, spec, seed=seed, vocab_size=VOCABULARY, pad_token_id=PADDING, attention=attention)
    return start.classifier


def batch(lengths: list[int], *, width: int = 0, seed: int = 3) -> dict[str, Tensor]:
    """Right-padded random tokens, one row a length, (B, L) with L at least `width`."""
    size = max([*lengths, width])
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.full((len(lengths), size), PADDING)
    mask = torch.zeros(len(lengths), size, dtype=torch.long)
    for row, length in enumerate(lengths):
        input_ids[row, :length] = torch.randint(4, VOCABULARY, (length,), generator=generator)
        mask[row, :length] = 1
    return {"input_ids": input_ids, "attention_mask": mask}
