"""Attention scores before the softmax, from stock networks: transformers returns only probabilities.

With `output_attentions`, transformers 5 returns probabilities, in training after dropout, from which scores can't be had
back. It does let a network take another attention function by name; this one computes what its eager attention does and
returns the scores. DeBERTa-v2 has an attention of its own, which can't be replaced.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.masking_utils import eager_mask

from models.families import family_of

NAME = "scores"


@contextmanager
def scores_returned(config: PretrainedConfig) -> Generator[None]:
    """Within the block, networks of this configuration return scores instead of attention probabilities."""
    check_scores(config)
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def check_scores(config: PretrainedConfig) -> None:
    """Raise UserError for a family whose attention can't be replaced."""
    family_of(config).check_scores()


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float = 1.0,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, Tensor]:
    """Attention over (B, heads, L, H / heads): outputs (B, L, heads, H / heads), and scores (B, heads, L, L)."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(attention_mask < 0, -torch.inf)
    chances = F.dropout(scores.softmax(-1), p=dropout, training=module.training)
    return (chances @ value).transpose(1, 2).contiguous(), scores
