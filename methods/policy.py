"""The curriculum policy of MPDistil: one linear layer from the student's state to the datasets.

The state is W v: the weight W (H, H) of the student's last square layer before the head times a learned
vector v (H,); families without such a layer give their mean pooled vector (H,) instead. v belongs to the
policy. What the student gives is detached, so that no gradient of the policy ever reaches it.
"""

import torch
from torch import Tensor, nn


class Policy(nn.Module):
    """log pi(a | s) over `actions` datasets for states of width `width`; parameters drawn with `generator`."""

    def __init__(self, width: int, actions: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.empty(width))
        # Not drawn twice: a start of torch's own would move the global generator, and dropout with it.
        self.head = nn.utils.skip_init(nn.Linear, width, actions)
        # The usual start of a linear layer, for v too; the bias is 0, so that it favours no dataset.
        bound = width**-0.5
        nn.init.uniform_(self.vector, -bound, bound, generator=generator)
        nn.init.uniform_(self.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, state: Tensor) -> Tensor:
        """The student's weight (H, H) or mean pooled vector (H,) -> log-probabilities (A,)."""
        state = state.detach().to(self.vector.dtype)
        vector = state @ self.vector if state.ndim == 2 else state
        return torch.log_softmax(self.head(vector), dim=-1)
