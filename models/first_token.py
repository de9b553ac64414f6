"""A stock layer restricted to the first token, for networks whose other outputs nobody reads.

A classifier reads one vector of its last layer. Its attention still needs keys and values of every token, but the
projection of what a token attended to, the residuals and the feed-forward work on each token by itself: three quarters of a
layer's multiplications, forward and backward, that end in vectors which no head and no loss reads.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def first_token_only(layer: nn.Module, entries: Sequence[str]) -> Generator[None]:
    """Within the block, pass only the first token to the modules `entries` of a layer: (B, 1, H) of (B, L, H)."""
    handles = [layer.get_submodule(name).register_forward_pre_hook(_first_token) for name in entries]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first_token(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value[:, :1] for value in inputs)
