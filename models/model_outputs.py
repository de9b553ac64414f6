"""Outputs of a network for a batch; stored teacher signals have the same type."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Outputs:
    """Outputs of one forward pass, or a teacher's stored ones: a loss cannot tell them apart.

    B rows, K candidates a row (1 unless the dataset is a choice), C scores a row, H the pooled width.

    logits:  (B, C), for a choice C = K, for regression C = 1.
    pooled:  (B*K, H), what enters the final linear layer (after its dropout in training mode).
    vectors: hidden-state index -> (B*K, H'), the sequence vector; 0 is the embeddings, n is after layer n.

    Only of a network that ran and was asked for them, L tokens an input:

    tokens:     hidden-state index -> (B*K, L, H'), every token; padding is in it.
    attentions: layer, from 1 -> (B*K, heads, L, L), scores before the softmax, -inf where a token may not look.
    mask:       (B*K, L), true for tokens that are no padding.
    branches:   layer of a teacher -> (B, C), logits of the student branch that stands on it.
    """

    logits: Tensor
    pooled: Tensor
    vectors: dict[int, Tensor] = field(default_factory=dict)
    tokens: dict[int, Tensor] = field(default_factory=dict)
    attentions: dict[int, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None
    branches: dict[int, Tensor] = field(default_factory=dict)

    def in_float32(self) -> "Outputs":
        """The same in at least float32: under bf16 autocast a network returns 16 bit."""
        many = {
            name: {key: _widened(value) for key, value in getattr(self, name).items()}
            for name in ("vectors", "tokens", "attentions", "branches")
        }
        return Outputs(logits=_widened(self.logits), pooled=_widened(self.pooled), mask=self.mask, **many)


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
